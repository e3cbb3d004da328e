// Tells what reached it, and how many requests did: what a test reads to see that nothing was
// executed.
#include <atomic>

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
  }

 private:
  bulkhead::Response show(const bulkhead::Request& request) {
    ++count_;
    bulkhead::Json headers = bulkhead::Json::array(), params = bulkhead::Json::object();
    for (const bh_pair& field : request.fields())
      headers.push_back({bulkhead::to_view(field.name), bulkhead::to_view(field.value)});
    for (const bh_pair& param : request.params())
      params[std::string(bulkhead::to_view(param.name))] = bulkhead::to_view(param.value);
    return bulkhead::json(200, bulkhead::Json{{"method", request.method()},
                                              {"target", request.target()},
                                              {"path", request.path()},
                                              {"query", request.query()},
                                              {"scheme", request.scheme()},
                                              {"authority", request.authority()},
                                              {"http", request.http_version()},
                                              {"tls", request.tls()},
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

  const std::string bytes_;
  std::atomic<int> count_{0};
};
BULKHEAD_PLUGIN(Mirror, "mirror", "1.0.0", "Tells what reached it.")
