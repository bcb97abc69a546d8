// Autocast for a given device and dtype.
#include "guarded.h"
#include <ATen/autocast_mode.h>

static_assert(static_cast<int>(at::kHalf) == 5 && static_cast<int>(at::kBFloat16) == 15);

namespace {
at::DeviceType device_of(int device) {
  return device == 0 ? at::kCPU : device == 1 ? at::kCUDA : at::kMPS;
}
} // namespace

extern "C" {

// The autocast mode of a thread for a device; `kind` is libtorch's number of the dtype, and `cache` tells
// whether casts of weights are kept.
struct g2d_autocast {
  int device;
  int kind;
  bool enabled;
  bool cache;
};

char *g2d_autocast_enter(int device, int kind, g2d_autocast *before) {
  return guarded([&] {
    using namespace at::autocast;
    const auto type = device_of(device);
    *before = {device, static_cast<int>(get_autocast_dtype(type)), is_autocast_enabled(type),
               is_autocast_cache_enabled()};
    set_autocast_dtype(type, static_cast<at::ScalarType>(kind));
    set_autocast_enabled(type, true);
    set_autocast_cache_enabled(false);
  });
}

char *g2d_autocast_leave(const g2d_autocast *before) {
  return guarded([&] {
    using namespace at::autocast;
    const auto type = device_of(before->device);
    set_autocast_enabled(type, before->enabled);
    set_autocast_dtype(type, static_cast<at::ScalarType>(before->kind));
    set_autocast_cache_enabled(before->cache);
  });
}
}
