// long interruptible_wait(uint32_t* word, uint32_t value): futex(word, FUTEX_WAIT_PRIVATE, value, NULL), the
// kernel's answer, negative errno included.
    .text
    .globl interruptible_wait, interruptible_wait_call, interruptible_wait_after
    .type interruptible_wait, %function
interruptible_wait:
#if defined(__x86_64__)
    mov %esi, %edx
    mov $128, %esi
    xor %r10d, %r10d
    mov $202, %eax
interruptible_wait_call:
    syscall
interruptible_wait_after:
    ret
#elif defined(__aarch64__)
    mov w2, w1
    mov x1, #128
    mov x3, #0
    mov x8, #98
interruptible_wait_call:
    svc #0
interruptible_wait_after:
    ret
#endif
    .size interruptible_wait, . - interruptible_wait
    .section .note.GNU-stack, "", %progbits
