"""An arm64 board without the board: Debian's arm64 userland under qemu; instructions counted."""
