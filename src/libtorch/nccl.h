// NCCL's process group.
#pragma once
#include "c10d.h"
#include <chrono>

// Throws where libtorch has no NCCL, and where there is no GPU.
c10::intrusive_ptr<c10d::Backend> nccl_backend(const StorePtr &store, int rank, int size,
                                               std::chrono::milliseconds timeout);
