// Access to the TorchScript modules that Rust holds.
#pragma once
#include <torch/csrc/jit/api/module.h>

inline torch::jit::Module &module_at(void *module) {
  return *static_cast<torch::jit::Module *>(module);
}
