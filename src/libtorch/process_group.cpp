// Process groups and their collective operations.
#include "c10d.h"
#include "nccl.h"

namespace {
c10d::ReduceOp operation(int number) {
  switch (number) {
  case 0:
    return c10d::ReduceOp::SUM;
  case 1:
    return c10d::ReduceOp::AVG;
  case 2:
    return c10d::ReduceOp::MIN;
  default:
    return c10d::ReduceOp::MAX;
  }
}
} // namespace

extern "C" {

// A group of `size` ranks that meet in `store` under `prefix`: Gloo for tensors of the host and, if
// `nccl`, NCCL for those of CUDA devices. Gloo listens on the address or, if it is not null, the
// network interface.
char *g2d_group_new(void *store, const char *prefix, int rank, int size, int64_t timeout,
                    const char *address, const char *interface, bool nccl, void **group) {
  return guarded([&] {
    using c10d::ProcessGroup;
    using c10d::ProcessGroupGloo;
    const auto limit = std::chrono::milliseconds(timeout);
    auto own = c10::make_intrusive<c10d::PrefixStore>(prefix, store_at(store));
    own->setTimeout(limit);
    auto options = ProcessGroupGloo::Options::create(limit);
    options->devices.push_back(interface ? ProcessGroupGloo::createDeviceForInterface(interface)
                                         : ProcessGroupGloo::createDeviceForHostname(address));
    auto all = c10::make_intrusive<ProcessGroup>(own, rank, size);
    auto gloo = c10::make_intrusive<ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", own), rank, size, options);
    all->setBackend(at::kCPU, ProcessGroup::BackendType::GLOO, gloo);
    if (nccl) {
      auto backend =
          nccl_backend(c10::make_intrusive<c10d::PrefixStore>("nccl", own), rank, size, limit);
      all->setBackend(at::kCUDA, ProcessGroup::BackendType::NCCL, backend);
    }
    all->setDefaultBackend(nccl ? ProcessGroup::BackendType::NCCL : ProcessGroup::BackendType::GLOO);
    *group = new GroupPtr(std::move(all));
  });
}

// Waits for the threads of the group. Its connections are closed.
void g2d_group_free(void *group) {
  free(guarded([&] { delete static_cast<GroupPtr *>(group); }));
}

// Reduces the tensor over all ranks in place: sum, average, minimum, maximum by `number` 0 to 3.
char *g2d_group_all_reduce(void *group, void *tensor, int number) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> tensors{static_cast<at::Tensor *>(tensor)->detach()};
    c10d::AllreduceOptions options;
    options.reduceOp = operation(number);
    group_at(group)->allreduce(tensors, options)->wait();
  });
}

// Copies the tensors of rank `root` to those of all ranks.
char *g2d_group_broadcast(void *group, void *const *tensors, size_t count, int root) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> all;
    for (size_t i = 0; i < count; ++i)
      all.push_back(tensor_at(tensors, i).detach());
    constexpr size_t kBytesAtOnce = 250 * 1024 * 1024; // as DistributedDataParallel
    c10d::broadcast_coalesced(group_at(group), all, kBytesAtOnce, root);
  });
}

// Waits until all ranks call it. Where some do not, the error of rank 0 names them.
char *g2d_group_barrier(void *group, int64_t timeout) {
  return guarded([&] {
    c10d::BarrierOptions options;
    options.timeout = std::chrono::milliseconds(timeout);
    group_at(group)->monitoredBarrier(options, true);
  });
}
}
