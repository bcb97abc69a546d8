// TorchScript modules whose variables can be trained.
#include "guarded.h"
#include "module.h"
#include "tensors.h"
#include <c10/core/Device.h>
#include <torch/csrc/jit/serialization/import.h>

using torch::jit::Module;

namespace {
// Whether the method takes one list of tensors in place of several tensors.
bool takes_list(const c10::FunctionSchema &schema) {
  const auto &arguments = schema.arguments(); // the first one is the module itself
  return arguments.size() == 2 &&
         arguments[1].type()->isSubtypeOf(*c10::ListType::ofTensors());
}
} // namespace

extern "C" {

// `device` is the index of a CUDA device, or -1 for the CPU, -2 for MPS.
char *g2d_script_load(const char *path, int device, void **module) {
  return guarded([&] {
    const auto on = device >= 0    ? at::Device(at::kCUDA, device)
                    : device == -2 ? at::Device(at::kMPS)
                                   : at::Device(at::kCPU);
    *module = new Module(torch::jit::load(path, on));
  });
}

void g2d_script_free(void *module) { delete static_cast<Module *>(module); }

char *g2d_script_save(void *module, const char *path) {
  return guarded([&] { module_at(module).save(path); });
}

// Passes each parameter and buffer to `add`, with its name in PyTorch and a new handle.
char *g2d_script_variables(void *module, void *context,
                           void (*add)(void *context, const char *name, void *tensor,
                                       bool is_parameter)) {
  return guarded([&] {
    for (const auto &each : module_at(module).named_parameters())
      add(context, each.name.c_str(), new at::Tensor(each.value), true);
    for (const auto &each : module_at(module).named_buffers())
      add(context, each.name.c_str(), new at::Tensor(each.value), false);
  });
}

// The least and the largest number of inputs of a method; `least` is -1 without such a method, and
// `largest` is -1 without a limit. `methods` becomes the names of all methods, freed with g2d_free.
char *g2d_script_method(void *module, const char *name, int64_t *least, int64_t *largest,
                        char **methods) {
  *least = -1;
  *methods = nullptr;
  return guarded([&] {
    std::string names;
    for (const auto &method : module_at(module).get_methods())
      names += (names.empty() ? "" : ", ") + method.name();
    *methods = strdup(names.c_str());
    const auto method = module_at(module).find_method(name);
    if (!method)
      return;
    const auto &schema = method->function().getSchema();
    if (takes_list(schema)) {
      *least = 1;
      *largest = -1;
      return;
    }
    *least = 0;
    for (const auto &argument : schema.arguments())
      *least += !argument.default_value() && !argument.kwarg_only();
    *least -= 1; // the module itself
    *largest = schema.is_vararg() ? -1 : static_cast<int64_t>(schema.arguments().size()) - 1;
  });
}

char *g2d_script_set_training(void *module, bool training) {
  return guarded([&] { module_at(module).train(training); });
}

// Calls a method. `add` receives a new handle on each tensor of the value, which is a tensor, or a tuple
// or list of tensors; none for another value. `type` becomes the type of the value, freed with g2d_free.
char *g2d_script_call(void *module, const char *name, void *const *inputs, size_t count,
                      void *context, void (*add)(void *context, void *tensor), char **type) {
  *type = nullptr;
  return guarded([&] {
    const auto method = module_at(module).get_method(name);
    std::vector<c10::IValue> stack;
    if (takes_list(method.function().getSchema())) {
      c10::List<at::Tensor> list;
      for (size_t i = 0; i < count; ++i)
        list.push_back(tensor_at(inputs, i));
      stack.emplace_back(std::move(list));
    } else {
      for (size_t i = 0; i < count; ++i)
        stack.emplace_back(tensor_at(inputs, i));
    }
    const c10::IValue value = method(std::move(stack));
    *type = strdup(value.type()->annotation_str().c_str());
    std::vector<at::Tensor> tensors;
    if (value.isTensor()) {
      tensors.push_back(value.toTensor());
    } else if (value.isTensorList()) {
      tensors = value.toTensorVector();
    } else if (value.isTuple()) {
      for (const auto &element : value.toTupleRef().elements()) {
        if (!element.isTensor())
          return;
        tensors.push_back(element.toTensor());
      }
    }
    for (const auto &tensor : tensors)
      if (!tensor.defined())
        return;
    for (const auto &tensor : tensors)
      add(context, new at::Tensor(tensor));
  });
}
}
