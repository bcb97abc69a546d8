// The engine of DistributedDataParallel: gradients reduced in buckets while backward runs.
#include "c10d.h"

extern "C" {

// A reducer of the gradients of `parameters`, which all ranks give in the same order.
char *g2d_reducer_new(void *group, void *const *parameters, size_t count, void **reducer) {
  return guarded([&] {
    std::vector<at::Tensor> all;
    for (size_t i = 0; i < count; ++i)
      all.push_back(tensor_at(parameters, i));
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(
        all, {c10d::kDefaultFirstBucketBytes, c10d::kDefaultBucketBytesCap}));
    std::reverse(buckets.begin(), buckets.end()); // about the order in which backward needs them
    *reducer = new c10d::Reducer(std::move(all), std::move(buckets), group_at(group),
                                 std::vector<bool>(count, false), c10d::kDefaultBucketBytesCap,
                                 /*find_unused_parameters=*/true,
                                 /*gradient_as_bucket_view=*/false, {},
                                 c10d::kDefaultFirstBucketBytes,
                                 /*skip_all_reduce_unused_params=*/false,
                                 /*use_python_reducer=*/false, {});
  });
}

void g2d_reducer_free(void *reducer) {
  free(guarded([&] { delete static_cast<c10d::Reducer *>(reducer); }));
}

// Forgets which parameters earlier backward passes have reached.
char *g2d_reducer_reset(void *reducer) {
  return guarded([&] { static_cast<c10d::Reducer *>(reducer)->reset_state(); });
}

// Makes the next backward pass from `loss` average the gradients over all ranks.
char *g2d_reducer_prepare(void *reducer, void *loss) {
  return guarded([&] {
    static_cast<c10d::Reducer *>(reducer)->prepare_for_backward(
        {*static_cast<at::Tensor *>(loss)});
  });
}

// Throws if the last backward pass has left gradients that are not reduced.
char *g2d_reducer_check(void *reducer) {
  return guarded([&] { static_cast<c10d::Reducer *>(reducer)->check_finalized(); });
}
}
