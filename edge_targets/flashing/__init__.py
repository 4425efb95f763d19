"""Put a system image on an SD card."""
