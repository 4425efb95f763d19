/*
 * Counts the arm64 instructions that a program executes between two marks, by kind.
 *
 * A plugin of QEMU's user emulation (https://www.qemu.org/docs/master/devel/tcg-plugins.html, API
 * version 1, QEMU 4.2 to 8.2). Debian packages no header for it, so the few functions it needs are
 * declared here.
 *
 * The marks are calls of lseek with a descriptor that nobody has: lseek(MARK, 1, 0) begins,
 * lseek(MARK, 2, 0) ends and writes one line of counts. Both fail, and change nothing.
 *
 * The program's time of day stands nearly still. ONNX Runtime takes stock whenever two seconds have
 * passed, in the midst of a prediction, and the next ones then cost a little more: on a busy machine
 * others than on a quiet one. For that the library is also preloaded into QEMU, which asks the C
 * library for the time.
 *
 * Kinds are told apart by the encoding (Arm Architecture Reference Manual DDI 0487, chapter C4).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MARK (-424242)
#define LSEEK 62 /* on arm64 */
#define ADD_U64 0 /* QEMU_PLUGIN_INLINE_ADD_U64 */

typedef uint64_t plugin_id;
struct tb;
struct insn;
struct info {
    const char *target;
    struct { int least, current; } version;
    bool system;
};
typedef void (*on_translation)(plugin_id, struct tb *);
typedef void (*on_syscall)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t, uint64_t, uint64_t);

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_syscall);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct tb *, int, void *, uint64_t);
extern size_t qemu_plugin_tb_n_insns(const struct tb *);
extern struct insn *qemu_plugin_tb_get_insn(const struct tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct insn *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum kind { INTEGER, BRANCH, MEMORY, VECTOR, MULTIPLY, DOT, KINDS };
static const char *const names[KINDS] = {
    "integer", "branch", "memory", "vector", "multiply", "dot",
};
static uint64_t counts[KINDS], begun[KINDS];
static FILE *out;

/* Each look at it is a microsecond later: a program that waits for it to pass comes to an end. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now)
{
    static _Atomic long looks;
    if (clock != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_gettime, clock, now);
    long passed = ++looks;
    now->tv_sec = 1700000000 + passed / 1000000;
    now->tv_nsec = passed % 1000000 * 1000;
    return 0;
}

static bool is(uint32_t word, uint32_t mask, uint32_t value) { return (word & mask) == value; }

/* Products of whole vectors that are added up: the arithmetic of a network. */
static enum kind vector_kind(uint32_t word)
{
    if (is(word, 0x9fe0fc00, 0x0e809400) || /* sdot, udot */
        is(word, 0x9fc0f400, 0x0f80e000))   /* the same, by element */
        return DOT;
    if (is(word, 0xbf20fc00, 0x0e20cc00) || /* fmla, fmls */
        is(word, 0xbf80b400, 0x0f801000) || /* the same, by element */
        is(word, 0xbf60fc00, 0x0e400c00) || /* fmla, fmls of half precision */
        is(word, 0xbfc0b400, 0x0f001000) || /* the same, by element */
        is(word, 0x9f20fc00, 0x0e209400) || /* mla, mls */
        is(word, 0xbf00b400, 0x2f000000) || /* the same, by element */
        is(word, 0x9f20dc00, 0x0e208000) || /* smlal, umlal, smlsl, umlsl: 10x0 */
        is(word, 0x9f20fc00, 0x0e20c000) || /* smull, umull */
        is(word, 0x9f00b400, 0x0f002000) || /* smlal, umlal and their like, by element */
        is(word, 0x9f00f400, 0x0f00a000))   /* smull, umull, by element */
        return MULTIPLY;
    return VECTOR;
}

static enum kind kind_of(uint32_t word)
{
    unsigned group = (word >> 25) & 15;
    if ((group & 5) == 4)
        return MEMORY;
    if ((group & 14) == 10)
        return BRANCH;
    if ((group & 7) == 7)
        return vector_kind(word);
    return INTEGER;
}

static void translated(plugin_id id, struct tb *block)
{
    uint64_t here[KINDS] = {0};
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
        here[kind_of(word)]++;
    }
    for (int kind = 0; kind < KINDS; kind++)
        if (here[kind])
            qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counts[kind], here[kind]);
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t descriptor, uint64_t mark,
                   uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    if (number != LSEEK || (int32_t)descriptor != MARK)
        return;
    if (mark == 1) {
        memcpy(begun, counts, sizeof counts);
        return;
    }
    for (int kind = 0; kind < KINDS; kind++)
        fprintf(out, "%s\"%s\": %llu", kind ? ", " : "{", names[kind],
                (unsigned long long)(counts[kind] - begun[kind]));
    fputs("}\n", out);
    fflush(out);
}

__attribute__((visibility("default"))) int
qemu_plugin_install(plugin_id id, const struct info *info, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
    if (!out || strcmp(info->target, "aarch64") != 0)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
