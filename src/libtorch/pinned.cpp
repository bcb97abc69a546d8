// Pinned memory, without the deprecated device argument that tch always passes.
#include "guarded.h"
#include <ATen/core/Tensor.h>

extern "C" char *g2d_pin(void *tensor, void **pinned) {
  return guarded(
      [&] { *pinned = new at::Tensor(static_cast<at::Tensor *>(tensor)->pin_memory()); });
}
