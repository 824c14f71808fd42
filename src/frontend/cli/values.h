// The grammars of option values. Each answers with a usage error that names what it could not read.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "plan/options.h"

namespace cryo::cli {

// A decimal number within [least, most].
Result<uint64_t> parse_number(std::string_view text, uint64_t least, uint64_t most);
// A number of bytes with an optional suffix K, M or G.
Result<uint64_t> parse_size(std::string_view text);
// "cpu,fpu,^ins": from nothing, what is named is added, what has a ^ is taken away. "" is "all".
Result<CpuCap> parse_cpu_cap(std::string_view text);
Result<FileValidation> parse_file_validation(std::string_view text);
// file[MNT_ID:INODE] and tty[RDEV:DEV] in hexadecimal; the kinds that are not there yet are refused by name.
Result<void> parse_external(std::string_view text, CommonOptions& options);
// fd[N]:KEY.
Result<InheritFd> parse_inherit_fd(std::string_view text);
// -v, -vv, -v3: `text` is what follows the first v; `level` the level so far.
Result<int> parse_verbosity(std::string_view text, int level);

}  // namespace cryo::cli
