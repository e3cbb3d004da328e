// bulkhead/status.hpp - HTTP reason phrases (RFC 9110 §15, IANA registry), the mapping of the
// contract's codes to them, and the names of health states.
#pragma once

#include <string_view>

#include "bulkhead/plugin.h"

namespace bulkhead {

constexpr std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return status < 300 ? "Success" : status < 400 ? "Redirection" : status < 500 ? "Client Error" : "Server Error";
  }
}

constexpr int http_status(bh_status code) {
  switch (code) {
    case BH_OK:
      return 200;
    case BH_E_INVALID:
      return 400;
    case BH_E_UNAUTHENTICATED:
      return 401;
    case BH_E_DENIED:
      return 403;
    case BH_E_NOT_FOUND:
      return 404;
    case BH_E_CONFLICT:
      return 409;
    case BH_E_BUSY:
      return 429;
    case BH_E_UNSUPPORTED:
      return 501;
    case BH_E_UNAVAILABLE:
      return 503;
    case BH_E_TIMEOUT:
      return 504;
    case BH_E_FULL:
      return 507;
    default:
      return 500;
  }
}

// One word for a code, as error.type of a span has it.
constexpr std::string_view status_text(bh_status code) {
  switch (code) {
    case BH_OK:
      return "";
    case BH_E_INVALID:
      return "invalid";
    case BH_E_UNAUTHENTICATED:
      return "unauthenticated";
    case BH_E_DENIED:
      return "denied";
    case BH_E_NOT_FOUND:
      return "not_found";
    case BH_E_CONFLICT:
      return "conflict";
    case BH_E_BUSY:
      return "busy";
    case BH_E_UNSUPPORTED:
      return "unsupported";
    case BH_E_UNAVAILABLE:
      return "unavailable";
    case BH_E_TIMEOUT:
      return "timeout";
    case BH_E_GONE:
      return "gone";
    case BH_E_FULL:
      return "full";
    default:
      return "internal";
  }
}

// A plugin's state of health, BH_STARTING to BH_FAILED.
constexpr std::string_view health_name(int32_t state) {
  switch (state) {
    case BH_STARTING:
      return "starting";
    case BH_READY:
      return "ready";
    case BH_DEGRADED:
      return "degraded";
    default:
      return "failed";
  }
}

}  // namespace bulkhead
