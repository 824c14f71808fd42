/* The puppet's entry on aarch64: x0 is the address of its slot (puppet/abi.h). */
#define SLOT_STACK 80

        .section .text.entry, "ax", %progbits
        .globl  puppet_entry
puppet_entry:
        ldr     x9, [x0, #SLOT_STACK]
        and     x9, x9, #~15
        mov     sp, x9
        mov     x29, xzr
        mov     x30, xzr
        bl      puppet_main
        udf     #0

        .globl  puppet_spawn
puppet_spawn:
        mov     x9, x2                  /* the child inherits the registers, but not the stack */
        mov     x8, #435                /* clone3 */
        svc     #0
        cbz     x0, 1f
        ret
1:      mov     x0, x9
        b       puppet_entry

        .globl  puppet_leave
puppet_leave:
        br      x0

        .section .note.GNU-stack, "", %progbits
