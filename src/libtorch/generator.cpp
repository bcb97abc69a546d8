// The state of libtorch's random number generators.
#include "guarded.h"
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <mutex>

namespace {
// The CPU's generator for -1, else that of the CUDA device with this index.
const at::Generator &generator(int device) {
  if (device >= 0)
    return at::globalContext().defaultGenerator(at::Device(at::kCUDA, device));
  return at::globalContext().defaultGenerator(at::kCPU);
}
} // namespace

extern "C" {

char *g2d_generator_state(int device, void **state) {
  return guarded([&] {
    at::Generator random = generator(device);
    const std::lock_guard<std::mutex> lock(random.mutex());
    *state = new at::Tensor(random.get_state());
  });
}

char *g2d_restore_generator(int device, void *state) {
  return guarded([&] {
    at::Generator random = generator(device);
    const std::lock_guard<std::mutex> lock(random.mutex());
    random.set_state(*static_cast<at::Tensor *>(state));
  });
}
}
