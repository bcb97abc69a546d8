// NCCL's process group by the symbols of its constructors. Its header includes those of CUDA and NCCL,
// which libtorch does not ship, and a libtorch for the CPU has no NCCL at all.
#include "c10d.h"
#include "nccl.h"
#include <cstdlib>
#include <dlfcn.h>

namespace {
// ProcessGroupNCCL has 1152 bytes on x86-64 and 1208 on aarch64, its options fewer.
constexpr size_t kMoreThanNccl = 16384;

void *nccl_symbol(const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  TORCH_CHECK(found, "this libtorch has no NCCL: install one built for CUDA");
  return found;
}

// Zeroed memory that is never freed: the object's own deleting destructor would give back another size.
void *nccl_memory() {
  void *memory = std::calloc(1, kMoreThanNccl);
  TORCH_CHECK(memory, "out of memory");
  return memory;
}

using NcclOptions = c10::intrusive_ptr<c10d::Backend::Options>;
} // namespace

c10::intrusive_ptr<c10d::Backend> nccl_backend(const StorePtr &store, int rank, int size,
                                               std::chrono::milliseconds timeout) {
  const auto construct_options = reinterpret_cast<void (*)(void *, bool)>(
      nccl_symbol("_ZN4c10d16ProcessGroupNCCL7OptionsC1Eb"));
  const auto construct = reinterpret_cast<void (*)(void *, StorePtr, int, int, NcclOptions)>(
      nccl_symbol("_ZN4c10d16ProcessGroupNCCLC1EN3c1013intrusive_ptrINS_5StoreENS1_6detail"
                  "34intrusive_target_default_null_typeIS3_EEEEiiNS2_INS0_7OptionsENS5_IS8_EEEE"));
  void *memory = nccl_memory();
  construct_options(memory, false);
  auto options =
      NcclOptions::unsafe_steal_from_new(static_cast<c10d::Backend::Options *>(memory));
  new NcclOptions(options); // so that the count of its owners never becomes 0
  options->timeout = timeout;
  memory = nccl_memory();
  construct(memory, store, rank, size, options);
  auto backend = c10::intrusive_ptr<c10d::Backend>::unsafe_steal_from_new(
      static_cast<c10d::Backend *>(memory));
  new c10::intrusive_ptr<c10d::Backend>(backend); // as above
  return backend;
}
