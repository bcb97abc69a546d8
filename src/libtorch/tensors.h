// Arrays of tensors as Rust hands them over.
#pragma once
#include <ATen/core/Tensor.h>

inline at::Tensor &at_place(void *const *tensors, size_t i) {
  return *static_cast<at::Tensor *>(tensors[i]);
}
