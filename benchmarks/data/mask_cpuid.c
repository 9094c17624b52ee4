/* Hides vector instructions from a process on x86-64 Linux, so that one machine can run as an older one.

   The kernel makes the CPUID instruction fault (the CPU needs the flag cpuid_fault), and the handler returns its result
   without the hidden features. Build: gcc -shared -fPIC mask_cpuid.c -o mask_cpuid.so
   Run: HIDE_INSTRUCTIONS=vnni LD_PRELOAD=./mask_cpuid.so PROGRAM   (vnni, or avx512 for all of AVX-512) */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012

static int hide_avx512;

static void emulate(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const unsigned char *code = (const unsigned char *)registers[REG_RIP];
  unsigned a = registers[REG_RAX], b, c = registers[REG_RCX], d, leaf = a, subleaf = c;
  if (code[0] != 0x0f || code[1] != 0xa2) { /* Another fault: it ends the process as usual. */
    signal(number, SIG_DFL);
    return;
  }
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
  __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(subleaf));
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
  if (leaf == 7 && subleaf == 0) {
    c &= ~(1u << 11); /* AVX512_VNNI */
    d &= ~(3u << 22 | 3u << 24); /* AVX512_FP16, AMX (bits 22, 24, 25) */
    if (hide_avx512) {
      b &= ~(3u << 16 | 1u << 21 | 3u << 26 | 1u << 28 | 3u << 30);
      c &= ~(1u << 1 | 1u << 6 | 1u << 12 | 1u << 14);
      d &= ~(3u << 2 | 1u << 8);
    }
  }
  if (leaf == 7 && subleaf == 1) a &= ~(3u << 4); /* AVX_VNNI, AVX512_BF16 */
  registers[REG_RAX] = a;
  registers[REG_RBX] = b;
  registers[REG_RCX] = c;
  registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
  const char *hidden = getenv("HIDE_INSTRUCTIONS");
  struct sigaction action;
  if (!hidden) return;
  hide_avx512 = !strcmp(hidden, "avx512");
  memset(&action, 0, sizeof action);
  action.sa_sigaction = emulate;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, 0);
  if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0)) _exit(77);
}
