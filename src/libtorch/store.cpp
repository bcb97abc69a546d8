// Key-value stores, by which the ranks of a process group find each other.
#include "c10d.h"

extern "C" {

// A client of the store at `host` and `port`; where `is_server`, also the store itself. `bound` becomes
// the port, which a server with port 0 chooses.
char *g2d_store_tcp(const char *host, uint16_t port, bool is_server, size_t ranks, int64_t timeout,
                    uint16_t *bound, void **store) {
  return guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = is_server;
    if (ranks > 0)
      options.numWorkers = ranks;
    options.timeout = std::chrono::milliseconds(timeout);
    auto tcp = c10::make_intrusive<c10d::TCPStore>(host, options);
    *bound = tcp->getPort();
    *store = new StorePtr(std::move(tcp));
  });
}

// A store in the memory of this process.
char *g2d_store_hash(void **store) {
  return guarded([&] { *store = new StorePtr(c10::make_intrusive<c10d::HashStore>()); });
}

// Another handle on the same store.
char *g2d_store_share(void *store, void **shared) {
  return guarded([&] { *shared = new StorePtr(store_at(store)); });
}

void g2d_store_free(void *store) { delete static_cast<StorePtr *>(store); }
}
