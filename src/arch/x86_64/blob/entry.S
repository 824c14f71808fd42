/* The puppet's entry on x86_64: rdi is the address of its slot (puppet/abi.h). */
#define SLOT_STACK 80

        .section .text.entry, "ax", @progbits
        .globl puppet_entry
puppet_entry:
        movq    SLOT_STACK(%rdi), %rsp
        cld
        xorl    %ebp, %ebp
        andq    $-16, %rsp
        call    puppet_main
        ud2

        .globl puppet_spawn
puppet_spawn:
        pushq   %rbx
        movq    %rdx, %rbx              /* the child inherits the registers, but not the stack */
        movl    $435, %eax              /* clone3 */
        syscall
        testq   %rax, %rax
        jz      1f
        popq    %rbx
        ret
1:      movq    %rbx, %rdi
        jmp     puppet_entry

        .globl puppet_leave
puppet_leave:
        movq    %rdi, %rcx
        andq    $-2, %rsi               /* CF tells the thunk which way to go */
        testl   %edx, %edx
        jz      1f
        orq     $1, %rsi
1:      pushq   %rsi
        popfq
        jmp     *%rcx

        .section .note.GNU-stack, "", @progbits
