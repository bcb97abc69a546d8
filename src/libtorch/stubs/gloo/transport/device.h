// Stands in for gloo's header, which libtorch does not ship: types behind pointers.
#pragma once

namespace gloo::transport {
class Device;
class UnboundBuffer;
} // namespace gloo::transport
