#include "jwk.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "bulkhead/text/base64url.hpp"

namespace auth {

using Json = nlohmann::json;

namespace {

constexpr int kLeastRsaBits = 2048, kMostRsaBits = 8192;
constexpr size_t kCoordinate = 32, kMaxKeys = 64;

struct Free {
  void operator()(BIGNUM* n) const { BN_free(n); }
  void operator()(OSSL_PARAM_BLD* b) const { OSSL_PARAM_BLD_free(b); }
  void operator()(OSSL_PARAM* p) const { OSSL_PARAM_free(p); }
  void operator()(EVP_PKEY_CTX* c) const { EVP_PKEY_CTX_free(c); }
  void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
  void operator()(ECDSA_SIG* s) const { ECDSA_SIG_free(s); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string_view text_of(const Json& jwk, const char* name) {
  const auto member = jwk.find(name);
  return member != jwk.end() && member->is_string() ? std::string_view(member->get_ref<const std::string&>())
                                                    : std::string_view();
}

bool bytes_of(const Json& jwk, const char* name, std::string* bytes) {
  const std::string_view text = text_of(jwk, name);
  return !text.empty() && bulkhead::from_base64url(text, bytes);
}

Owned<BIGNUM> number(std::string_view bytes) {
  return Owned<BIGNUM>(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
}

Pkey from_parameters(const char* type, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return Pkey(key);
}

// Primes the library of CVE-2017-15361 (ROCA) made are powers of 65537 modulo every small prime,
// and so is their product: for another modulus that is as good as impossible.
bool made_by_roca(const BIGNUM* modulus) {
  static constexpr std::array<BN_ULONG, 38> kPrimes = {3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
                                                       47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
                                                       107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};
  return std::all_of(kPrimes.begin(), kPrimes.end(), [modulus](BN_ULONG prime) {
    const BN_ULONG wanted = BN_mod_word(modulus, prime), factor = 65537 % prime;
    BN_ULONG power = 1;
    do {
      if (power == wanted) return true;
      power = power * factor % prime;
    } while (power != 1);
    return false;
  });
}

constexpr BN_ULONG kLeastExponent = 65537;  // FIPS 186-5 §5.1

// "" or why the key is not trusted.
std::string weakness(const BIGNUM* modulus, const BIGNUM* exponent) {
  const int bits = BN_num_bits(modulus);
  if (bits < kLeastRsaBits) return "RSA of " + std::to_string(bits) + " bits; at least 2048 are wanted";
  if (bits > kMostRsaBits) return "RSA of " + std::to_string(bits) + " bits; at most 8192 are taken";
  const BN_ULONG e = BN_get_word(exponent);
  if (BN_is_odd(exponent) == 0 || e < kLeastExponent) return "its exponent is smaller than 65537, or even";
  if (made_by_roca(modulus)) return "it was made by a library whose keys can be factored (ROCA, CVE-2017-15361)";
  return {};
}

Pkey rsa_key(const Json& jwk, std::string* weak) {
  std::string n, e;
  if (!bytes_of(jwk, "n", &n) || !bytes_of(jwk, "e", &e) || e.size() > 8) return nullptr;
  const Owned<BIGNUM> modulus = number(n), exponent = number(e);
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder) return nullptr;
  *weak = weakness(modulus.get(), exponent.get());
  if (!weak->empty() || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return nullptr;
  return from_parameters("RSA", builder.get());
}

// OpenSSL refuses a point that is not on the curve.
Pkey p256_key(const Json& jwk) {
  std::string x, y;
  if (!bytes_of(jwk, "x", &x) || !bytes_of(jwk, "y", &y) || x.size() != kCoordinate || y.size() != kCoordinate)
    return nullptr;
  const std::string point = '\x04' + x + y;
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return nullptr;
  return from_parameters("EC", builder.get());
}

Pkey ed25519_key(const Json& jwk) {
  std::string x;
  if (!bytes_of(jwk, "x", &x) || x.size() != kCoordinate) return nullptr;
  return Pkey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(x.data()),
                                          x.size()));
}

// For signatures, if it says what it is for.
bool for_signatures(const Json& jwk, Algorithm algorithm) {
  if (jwk.contains("use") && text_of(jwk, "use") != "sig") return false;
  if (jwk.contains("alg") && text_of(jwk, "alg") != algorithm_name(algorithm)) return false;
  const auto operations = jwk.find("key_ops");
  return operations == jwk.end() ||
         (operations->is_array() && std::find(operations->begin(), operations->end(), "verify") != operations->end());
}

// JWS has r and s one after the other (RFC 7518 §3.4), OpenSSL takes them as DER.
bool to_der(std::string_view signature, std::string* der) {
  if (signature.size() != 2 * kCoordinate) return false;
  Owned<BIGNUM> r = number(signature.substr(0, kCoordinate)), s = number(signature.substr(kCoordinate));
  const Owned<ECDSA_SIG> parts(ECDSA_SIG_new());
  if (!r || !s || !parts || ECDSA_SIG_set0(parts.get(), r.get(), s.get()) != 1) return false;
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  std::array<unsigned char, 80> buffer{};
  unsigned char* end = buffer.data();
  if (i2d_ECDSA_SIG(parts.get(), nullptr) > static_cast<int>(buffer.size())) return false;
  const int size = i2d_ECDSA_SIG(parts.get(), &end);
  if (size <= 0) return false;
  der->assign(reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(size));
  return true;
}

}  // namespace

bool parse_algorithm(std::string_view name, Algorithm* algorithm) {
  for (const Algorithm each : {Algorithm::kRs256, Algorithm::kEs256, Algorithm::kEdDsa})
    if (name == algorithm_name(each)) {
      *algorithm = each;
      return true;
    }
  return false;
}

std::string_view algorithm_name(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kRs256:
      return "RS256";
    case Algorithm::kEs256:
      return "ES256";
    case Algorithm::kEdDsa:
      return "EdDSA";
  }
  return "";
}

std::vector<Jwk> read_jwks(const Json& set, std::vector<std::string>* refused) {
  if (!set.is_object() || !set.contains("keys") || !set.at("keys").is_array())
    throw std::runtime_error("it is not a set of JSON web keys: it has no array 'keys'");
  std::vector<Jwk> keys;
  for (const Json& jwk : set.at("keys")) {
    if (!jwk.is_object() || keys.size() == kMaxKeys) continue;
    const std::string_view type = text_of(jwk, "kty"), curve = text_of(jwk, "crv");
    Jwk key{std::string(text_of(jwk, "kid")), Algorithm::kRs256, nullptr};
    if (type == "RSA") {
      std::string weak;
      key.key = rsa_key(jwk, &weak);
      if (!weak.empty() && refused != nullptr) refused->push_back("the key '" + key.kid + "' is not used: " + weak);
    } else if (type == "EC" && curve == "P-256") {
      key.algorithm = Algorithm::kEs256;
      key.key = p256_key(jwk);
    } else if (type == "OKP" && curve == "Ed25519") {
      key.algorithm = Algorithm::kEdDsa;
      key.key = ed25519_key(jwk);
    }
    if (key.key && for_signatures(jwk, key.algorithm)) keys.push_back(std::move(key));
  }
  ERR_clear_error();
  return keys;
}

bool verify(const Jwk& key, std::string_view text, std::string_view signature) {
  std::string der;
  if (key.algorithm == Algorithm::kEs256) {
    if (!to_der(signature, &der)) return false;
    signature = der;
  }
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const EVP_MD* digest = key.algorithm == Algorithm::kEdDsa ? nullptr : EVP_sha256();
  // RSA pads as PKCS #1 v1.5 here, which is what RS256 is.
  const bool good =
      context && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.key.get()) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

}  // namespace auth
