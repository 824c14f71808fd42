// long interruptible_read(int fd, void* buffer, size_t size): the kernel's answer, negative errno included.
    .text
    .globl interruptible_read, interruptible_read_call, interruptible_read_after
    .type interruptible_read, %function
interruptible_read:
#if defined(__x86_64__)
    xor %eax, %eax
interruptible_read_call:
    syscall
interruptible_read_after:
    ret
#elif defined(__aarch64__)
    mov x8, #63
interruptible_read_call:
    svc #0
interruptible_read_after:
    ret
#endif
    .size interruptible_read, . - interruptible_read
    .section .note.GNU-stack, "", %progbits
