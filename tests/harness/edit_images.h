// Changing images as somebody would who means harm, or who has damaged them: the frame stays right.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "image/store.h"
#include "sys/file.h"

namespace cryo::live {

// All entries of a file in the directory `dir`; not for files whose entries are of several types.
template <class Pb>
void edit(const std::string& dir, ImageName name,
          const std::function<void(std::vector<Pb>&)>& change) {
  Result<ImageReader> reader = ImageReader::open(sys::open(dir, O_RDONLY | O_DIRECTORY).value());
  ASSERT_TRUE(reader) << reader.error().to_string();
  Result<std::vector<Pb>> records = reader->records<Pb>(name);
  ASSERT_TRUE(records) << records.error().to_string();
  change(*records);
  std::string bytes = image_head(name.kind);
  for (const Pb& record : *records) ASSERT_TRUE(encode_entry(record, bytes));
  std::ofstream(dir + "/" + name.file(), std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace cryo::live
