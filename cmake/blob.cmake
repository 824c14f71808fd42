# cryo_blob(TARGET): the puppet's freestanding loop, linked flat and embedded in TARGET.
# One position-independent text section without relocations, data or libc: it runs in a foreign task.
function(cryo_blob target)
  set(out ${CMAKE_BINARY_DIR}/puppet)
  file(MAKE_DIRECTORY ${out})
  set(entry ${CMAKE_SOURCE_DIR}/src/arch/${CRYO_ARCH}/blob/entry.S)
  set(loop ${CMAKE_SOURCE_DIR}/src/puppet/blob/loop.c)
  set(script ${CMAKE_SOURCE_DIR}/src/puppet/blob/blob.lds)
  set(flags -I${CMAKE_SOURCE_DIR}/src -Os -std=gnu17 -ffreestanding -fPIE -fno-stack-protector -fno-builtin
    -fno-asynchronous-unwind-tables -fcf-protection=none -mgeneral-regs-only -fno-tree-loop-distribute-patterns
    -Wall -Wextra -Werror)
  if(CRYO_ARCH STREQUAL "aarch64")
    list(REMOVE_ITEM flags -fcf-protection=none)
  endif()
  if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
    list(REMOVE_ITEM flags -fno-tree-loop-distribute-patterns)
  endif()
  file(GLOB blob_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/puppet/*.h ${CMAKE_SOURCE_DIR}/src/arch/${CRYO_ARCH}/blob/*)
  add_custom_command(
    OUTPUT ${out}/blob.bin
    COMMAND ${CMAKE_C_COMPILER} ${flags} -I${CMAKE_SOURCE_DIR}/src/arch/${CRYO_ARCH}/blob -nostdlib -static-pie
      -Wl,-T,${script} -Wl,--no-undefined -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-dynamic-linker
      -o ${out}/blob.elf ${entry} ${loop}
    COMMAND ${CMAKE_OBJCOPY} -O binary -j .text ${out}/blob.elf ${out}/blob.bin
    DEPENDS ${entry} ${loop} ${script} ${blob_headers})
  file(WRITE ${out}/embed.S.in
    ".section .rodata\n.balign 16\n.globl cryo_puppet_blob\ncryo_puppet_blob:\n.incbin \"${out}/blob.bin\"\n"
    ".globl cryo_puppet_blob_end\ncryo_puppet_blob_end:\n.byte 0\n.section .note.GNU-stack,\"\",%progbits\n")
  configure_file(${out}/embed.S.in ${out}/embed.S COPYONLY)
  set_source_files_properties(${out}/embed.S PROPERTIES OBJECT_DEPENDS ${out}/blob.bin)
  target_sources(${target} PRIVATE ${out}/embed.S)
endfunction()
