// Tells what reached it, and how many requests did: what a test reads to see that nothing was executed.
#include <atomic>
#include <thread>

#include "bulkhead/plugin.hpp"

class Mirror : public bulkhead::Plugin {
 public:
  Mirror(bulkhead::Host h, const bulkhead::Json& /*config*/) : Plugin(h), bytes_(1024 * 1024, 'x') {
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
      route(method, "/mirror", &Mirror::show);
      route(method, "/mirror/{a}", &Mirror::show);
      route(method, "/mirror/{a}/{b}", &Mirror::show);
    }
    get("/mirror/count", &Mirror::count);
    get("/mirror/bytes/{n}", &Mirror::bytes);
    get("/mirror/status/{code}", &Mirror::status);
    get("/mirror/broken", &Mirror::broken);
    get("/mirror/stall/{ms}", &Mirror::stall);
  }

 private:
  bulkhead::Response show(const bulkhead::Request& request) {
    ++count_;
    const bh_request& raw = request.raw();
    bulkhead::Json headers = bulkhead::Json::array(), params = bulkhead::Json::object();
    for (size_t i = 0; i < raw.header_count; ++i)
      headers.push_back({bulkhead::to_view(raw.headers[i].name), bulkhead::to_view(raw.headers[i].value)});
    for (size_t i = 0; i < raw.param_count; ++i)
      params[std::string(bulkhead::to_view(raw.params[i].name))] = bulkhead::to_view(raw.params[i].value);
    return bulkhead::json(200, bulkhead::Json{{"method", request.method()},
                                              {"target", request.target()},
                                              {"path", request.path()},
                                              {"query", request.query()},
                                              {"scheme", bulkhead::to_view(raw.scheme)},
                                              {"authority", bulkhead::to_view(raw.authority)},
                                              {"http", raw.http},
                                              {"tls", (raw.flags & BH_TLS) != 0},
                                              {"subject", request.attribute("tls.client.subject")},
                                              {"headers", headers},
                                              {"params", params},
                                              {"peer", request.peer()},
                                              {"body", request.body()}});
  }
  bulkhead::Response count(const bulkhead::Request&) { return bulkhead::text(200, std::to_string(count_.load())); }
  bulkhead::Response bytes(const bulkhead::Request& request) {
    const size_t n = std::stoul(std::string(request.param("n")));
    return bulkhead::Response(200).lend(std::string_view(bytes_).substr(0, n));
  }
  // A body even where the status has none.
  bulkhead::Response status(const bulkhead::Request& request) {
    return bulkhead::text(std::stoi(std::string(request.param("code"))), "a body");
  }
  // Fields that would break the message, or are the host's.
  bulkhead::Response broken(const bulkhead::Request&) {
    return bulkhead::Response(200)
        .header("x-good", "yes")
        .header("x-split", "a\r\nx-injected: yes")
        .header("bad name", "x")
        .header("content-length", "1000")
        .header("transfer-encoding", "chunked")
        .header("connection", "upgrade")
        .body("ok");
  }

  // Against all advice, on the I/O thread.
  bulkhead::Response stall(const bulkhead::Request& request) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(std::string(request.param("ms")))));
    return bulkhead::text(200, "stalled");
  }

  const std::string bytes_;
  std::atomic<int> count_{0};
};
BULKHEAD_PLUGIN(Mirror, "mirror", "1.0.0", "Tells what reached it.")
