// Access to the arrays of tensor pointers that Rust passes.
#pragma once
#include <ATen/core/Tensor.h>

inline at::Tensor &tensor_at(void *const *tensors, size_t i) {
  return *static_cast<at::Tensor *>(tensors[i]);
}
