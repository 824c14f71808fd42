# cryo_proto: the C++ of src/image/proto/*.proto, with protobuf's lite runtime.
find_program(PROTOC protoc REQUIRED)
file(GLOB proto_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/image/proto/*.proto)
set(proto_out ${CMAKE_BINARY_DIR}/proto)
file(MAKE_DIRECTORY ${proto_out})
set(proto_sources)
foreach(file ${proto_files})
  get_filename_component(stem ${file} NAME_WE)
  add_custom_command(
    OUTPUT ${proto_out}/${stem}.pb.cc ${proto_out}/${stem}.pb.h
    COMMAND ${PROTOC} --cpp_out=lite:${proto_out} --dependency_out=${proto_out}/${stem}.d
      -I ${CMAKE_SOURCE_DIR}/src/image/proto ${file}
    DEPENDS ${file}
    DEPFILE ${proto_out}/${stem}.d)
  list(APPEND proto_sources ${proto_out}/${stem}.pb.cc)
endforeach()
add_library(cryo_proto STATIC ${proto_sources})
# Most of the time goes into protobuf's headers: a dozen files at once takes half of it.
set_target_properties(cryo_proto PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
# Generated code is a few accessors and loops over fields: more than -O1 is time spent for nothing.
# Not sanitized either: it is not ours, and its library is not, too.
target_compile_options(cryo_proto PRIVATE -w -fno-exceptions -O1 -g0)
target_include_directories(cryo_proto SYSTEM PUBLIC ${proto_out})
find_library(PROTOBUF_LITE NAMES libprotobuf-lite.a REQUIRED)
target_link_libraries(cryo_proto PUBLIC ${PROTOBUF_LITE})
