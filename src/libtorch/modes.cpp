// The modes of a thread that a closure of tch leaves changed when it panics.
#include "guarded.h"
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

namespace {
constexpr at::DeviceType devices[] = {at::kCPU, at::kCUDA, at::kMPS};
} // namespace

extern "C" {

// Whether gradients are recorded, and whether autocast is on for each of `devices`.
struct g2d_modes {
  bool grad;
  bool autocast[3];
};

char *g2d_modes_read(g2d_modes *modes) {
  return guarded([&] {
    modes->grad = at::GradMode::is_enabled();
    for (int i = 0; i < 3; ++i)
      modes->autocast[i] = at::autocast::is_autocast_enabled(devices[i]);
  });
}

char *g2d_modes_restore(const g2d_modes *modes) {
  return guarded([&] {
    at::GradMode::set_enabled(modes->grad);
    for (int i = 0; i < 3; ++i)
      at::autocast::set_autocast_enabled(devices[i], modes->autocast[i]);
  });
}
}
