#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "attempts.hpp"
#include "bulkhead/net/address.hpp"
#include "bulkhead/text/base64url.hpp"
#include "fetch.hpp"
#include "jwk.hpp"
#include "jwt.hpp"
#include "key.hpp"
#include "key_ring.hpp"

using namespace auth;
using Json = nlohmann::json;

TEST(Base64Url, IsTheOnlyTextOfItsBytes) {
  std::string out;
  for (const std::string bytes : {"", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\xfe\xfb"}) {
    ASSERT_TRUE(bulkhead::from_base64url(bulkhead::to_base64url(bytes), &out));
    EXPECT_EQ(out, bytes);
  }
  EXPECT_EQ(bulkhead::to_base64url("foob"), "Zm9vYg");
  for (const char* wrong : {"Zm9vYg==", "Zm9vYh", "Z", "Zm9v\n", "Zm9v Yg", "Zm9+", "Zm9/"})
    EXPECT_FALSE(bulkhead::from_base64url(wrong, &out)) << wrong;
}

// RFC 8037, appendix A.4.
TEST(Jwk, Ed25519OfTheRfc) {
  const auto keys = read_jwks(
      {{"keys",
        {{{"kty", "OKP"}, {"crv", "Ed25519"}, {"kid", "a"}, {"x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}}}});
  ASSERT_EQ(keys.size(), 1u);
  const std::string_view text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
  std::string signature;
  ASSERT_TRUE(bulkhead::from_base64url(
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", &signature));
  EXPECT_TRUE(verify(keys[0], text, signature));
  EXPECT_FALSE(verify(keys[0], std::string(text) + "x", signature));
  signature[0] = static_cast<char>(signature[0] ^ 1);
  EXPECT_FALSE(verify(keys[0], text, signature));
  EXPECT_FALSE(verify(keys[0], text, ""));
}

TEST(Jwk, KeysThatAreOfNoUse) {
  const Json good = {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}};
  const auto with = [&](const char* name, const Json& value) {
    Json key = good;
    key[name] = value;
    return read_jwks({{"keys", {key}}}).size();
  };
  EXPECT_EQ(with("use", "sig"), 1u);
  EXPECT_EQ(with("use", "enc"), 0u);
  EXPECT_EQ(with("alg", "RS256"), 0u);
  EXPECT_EQ(with("key_ops", Json::array({"sign"})), 0u);
  EXPECT_EQ(with("x", "AAAA"), 0u);
  EXPECT_EQ(with("x", 7), 0u);
  EXPECT_EQ(with("crv", "X25519"), 0u);
  EXPECT_EQ(with("kty", "oct"), 0u);
  // 512 bits, an even exponent, a point that is on no curve.
  const std::string n(86, 'x');
  EXPECT_TRUE(read_jwks({{"keys", {{{"kty", "RSA"}, {"n", n}, {"e", "AQAB"}}}}}).empty());
  EXPECT_TRUE(read_jwks({{"keys", {{{"kty", "RSA"}, {"n", std::string(341, 'x') + 'w'}, {"e", "AQAA"}}}}}).empty());
  const std::string coordinate(43, 'A');
  EXPECT_TRUE(read_jwks({{"keys", {{{"kty", "EC"}, {"crv", "P-256"}, {"x", coordinate}, {"y", coordinate}}}}}).empty());
  EXPECT_TRUE(read_jwks({{"keys", {1, "x", Json::object(), nullptr}}}).empty());
  for (const Json& set : {Json(1), Json::object(), Json{{"keys", 1}}, Json()})
    EXPECT_THROW(read_jwks(set), std::runtime_error);
}

class Claims : public testing::Test {
 protected:
  Rules rules{"https://login.example", {"api", "other"}, 60, "sub", "", {"scope", "scp", "roles"}, {}};
  Json claims{
      {"iss", "https://login.example"}, {"aud", "api"}, {"exp", 2000}, {"sub", "me"}, {"scope", "people:read a"}};
  Identity identity;
  Verdict verdict = Verdict::kGood;
  std::string check(int64_t now = 1000) {
    identity = {};
    return check_claims(claims, rules, now, &identity, &verdict);
  }
};

TEST_F(Claims, Good) {
  EXPECT_EQ(check(), "");
  EXPECT_EQ(identity.subject, "https://login.example#me");
  EXPECT_EQ(identity.scopes, "a people:read");
  EXPECT_EQ(identity.expires_ms, 2'060'000);
  claims["aud"] = {"x", "other"};
  claims["roles"] = {"people:write", 7, "not a scope"};
  claims["scp"] = "audit:read";
  EXPECT_EQ(check(), "");
  EXPECT_EQ(identity.scopes, "a audit:read people:read people:write");
}

TEST_F(Claims, Times) {
  EXPECT_EQ(check(2059), "");
  EXPECT_EQ(check(2060), "it has expired");
  EXPECT_EQ(verdict, Verdict::kExpired);
  claims["nbf"] = 1500;
  EXPECT_EQ(check(1440), "");
  EXPECT_EQ(check(1439), "it is not valid yet");
  claims.erase("nbf");
  claims["iat"] = 1500;
  EXPECT_EQ(check(1439), "it was issued in the future");
  claims["iat"] = 1500.7;
  EXPECT_EQ(check(1500), "");
  for (const Json& wrong : {Json("1500"), Json(-1), Json(1e300), Json(nullptr), Json::array()}) {
    claims["iat"] = wrong;
    EXPECT_NE(check(1500), "") << wrong;
  }
  claims.erase("iat");
  claims.erase("exp");
  EXPECT_EQ(check(), "it never expires");
}

TEST_F(Claims, WhoseTheyAre) {
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, Json>>{{"aud", "x"},
                                                           {"aud", Json::array()},
                                                           {"aud", 7},
                                                           {"iss", "https://login.example/"},
                                                           {"sub", ""},
                                                           {"sub", 7},
                                                           {"sub", std::string(257, 'x')}}) {
    const Json before = claims[name];
    claims[name] = value;
    EXPECT_NE(check(), "") << name << value;
    EXPECT_EQ(verdict, Verdict::kInvalid);
    claims[name] = before;
  }
  rules.tenant_claim = "tid";
  EXPECT_EQ(check(), "it names no tenant") << "else it would see all of them";
  claims["tid"] = "cunard";
  EXPECT_EQ(check(), "");
  EXPECT_EQ(identity.tenant, "cunard");
  rules.scopes = {{"a", {"people:write", "people:read"}}};
  EXPECT_EQ(check(), "");
  EXPECT_EQ(identity.scopes, "people:read people:write") << "what is not in the mapping is worth nothing";
}

TEST(Key, HasItsForm) {
  std::string id, other;
  const std::string key = make_key(&id);
  EXPECT_EQ(key_id(key), id);
  EXPECT_NE(make_key(&other), key);
  for (const std::string& wrong : {key + "x", key.substr(1), "bhk_" + std::string(60, 'x'), std::string(),
                                   std::string("bhk_"), "BHK_" + key.substr(4)})
    EXPECT_EQ(key_id(wrong), "") << wrong;
  EXPECT_TRUE(same_digest(key_digest("p", key), digest_text(key_digest("p", key))));
  EXPECT_FALSE(same_digest(key_digest("p", key), digest_text(key_digest("q", key))));
  EXPECT_NE(key_digest("ab", "c"), key_digest("a", "bc"));
}

TEST(Key, Lifetimes) {
  EXPECT_EQ(parse_lifetime("never"), 0);
  EXPECT_EQ(parse_lifetime("90d"), int64_t{90} * 86'400'000);
  EXPECT_EQ(parse_lifetime("1s"), 1000);
  for (const char* wrong :
       {"", "d", "0d", "-1d", "1", "1w", "1 d", "1dd", "99999999999999d", "3651d", "9223372036854775807s"})
    EXPECT_FALSE(parse_lifetime(wrong)) << wrong;
  EXPECT_EQ(time_text(0), "");
  EXPECT_EQ(time_text(1'700'000'000'123), "2023-11-14T22:13:20.123Z");
}

TEST(Attempts, AWindowThatSlides) {
  constexpr uint64_t kSecond = 1'000'000'000;
  Attempts attempts(6);  // one in ten seconds
  uint64_t now = kSecond;
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(attempts.failed("192.0.2.1", now));
  EXPECT_EQ(attempts.blocked_for_s("192.0.2.1", now), 0u);
  EXPECT_TRUE(attempts.failed("192.0.2.1", now)) << "the last one";
  EXPECT_EQ(attempts.blocked_for_s("192.0.2.1", now), 10u);
  EXPECT_EQ(attempts.blocked_for_s("192.0.2.2", now), 0u);
  EXPECT_FALSE(attempts.failed("192.0.2.1", now)) << "told once";
  now += 20 * kSecond;
  EXPECT_EQ(attempts.blocked_for_s("192.0.2.1", now), 0u);
  Attempts unlimited(0);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(unlimited.failed("x", now));
  for (int i = 0; i < 200'000; ++i)
    attempts.failed(
        "10." + std::to_string(i >> 16) + "." + std::to_string((i >> 8) & 255) + "." + std::to_string(i & 255), now);
  EXPECT_EQ(attempts.blocked_for_s("192.0.2.1", now + 60 * kSecond), 0u);
}

TEST(Address, OfACaller) {
  EXPECT_EQ(bulkhead::caller_of("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(bulkhead::caller_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(bulkhead::caller_of("2001:db8:1:2::1"), "2001:db8:1:2::/64");
  for (const char* same :
       {"::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "64:ff9b::c000:201", "2002:c000:201::7", "2002:c000:201:1:2:3:4:5"})
    EXPECT_EQ(bulkhead::caller_of(same), "192.0.2.1") << same;
  EXPECT_EQ(bulkhead::caller_of("64:ff9b:1::192.0.2.1"), "64:ff9b:1::/64") << "a prefix of somebody's own";
  EXPECT_EQ(bulkhead::caller_of("no: address"), "no: address");
}

TEST(Fetch, Urls) {
  for (const char* good : {"https://login.example", "https://login.example:8443/x?y", "http://127.0.0.1:1",
                           "http://localhost/x", "http://[::1]:1/"})
    EXPECT_EQ(check_url(good), "") << good;
  for (const char* wrong :
       {"", "login.example", "http://login.example", "http://127.evil.example", "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1", "file:///etc/passwd", "https://user@login.example", "https://", "https://a b",
        "https://login.example/#x", "gopher://localhost"})
    EXPECT_NE(check_url(wrong), "") << wrong;
  EXPECT_EQ(origin_of("https://Login.example/x"), "https://login.example:443");
  EXPECT_NE(origin_of("https://login.example"), origin_of("http://login.example"));
}

TEST(KeyRing, ForgetsWhatChanged) {
  KeyRing ring(16, std::chrono::seconds(60));
  KeyRecord record;
  record.id = "0123456789abcdef";
  record.scopes = "people:read";
  const Digest256 digest = key_digest("", "a key");
  const auto now = std::chrono::steady_clock::now();
  ring.put(digest, record, now);
  EXPECT_EQ(ring.find(digest), nullptr) << "nothing was heard yet";
  ring.changed({});
  ring.put(digest, record, now);
  ASSERT_NE(ring.find(digest), nullptr);
  ring.find(digest)->used = true;
  EXPECT_EQ(ring.take_used(10), std::vector<std::string>{record.id});
  EXPECT_TRUE(ring.take_used(10).empty());
  ring.changed({record});
  EXPECT_EQ(ring.find(digest), nullptr);
  ring.put(digest, record, now - std::chrono::seconds(10));
  EXPECT_EQ(ring.find(digest), nullptr) << "asked so long ago that a change may have been missed";
  for (int i = 0; i < 1000; ++i) {
    record.id = std::to_string(i);
    ring.put(key_digest("", record.id), record, now);
  }
  EXPECT_NE(ring.find(key_digest("", "999")), nullptr);
  EXPECT_EQ(ring.find(key_digest("", "0")), nullptr) << "bounded";
}

// FIPS 186-5 §5.1, CVE-2017-15361.
TEST(Jwk, WeakKeysAreNamed) {
  const auto refused = [](const std::string& n, const std::string& e) {
    std::vector<std::string> why;
    EXPECT_TRUE(read_jwks({{"keys", {{{"kty", "RSA"}, {"kid", "k"}, {"n", n}, {"e", e}}}}}, &why).empty());
    return why.empty() ? std::string() : why.front();
  };
  const std::string n2048 = std::string(341, 'x') + 'w';
  EXPECT_EQ(refused(std::string(170, 'x') + 'w', "AQAB"),
            "the key 'k' is not used: RSA of 1024 bits; at least 2048 are wanted");
  for (const char* small : {"Aw", "AQ", "EQ", "AQAA"})
    EXPECT_EQ(refused(n2048, small), "the key 'k' is not used: its exponent is smaller than 65537, or even") << small;
  // A power of 65537 has the remainders that such a modulus has.
  EXPECT_NE(refused("AQCAH8U2ItemOdvAuh3CYd6meB6-F3qiRRF_kOTYh4wfVcOe0wxKYEIqcck0X_dMh27LcJUNm1cegMcsHuwVfrLmYD"
                    "4E6AbrGDnRVwNR2ezupy-nrIS3sMXn64KRT6BZ0pZ2SLnY8c3cq0Zmhx4fF6nLVStlpsZmBwj9tuOK5ipNMK9HkcQj"
                    "44dOFrvbyw4fVO1NUjBaT4RyJ0sNqSF3jiQWNms6QqIwD2xOFvDBWDAr3qu5K6uDynfvQqlIfwfk5QHlZ3OBqDFHg5"
                    "6I7-TQvnnoE-OqWNK8wVBbJ0LYOJQnGzd-s_EIm0g3RquiJYE0Hm7FzQT3IsflNYAfwACAAAE",
                    "AQAB")
                .find("ROCA"),
            std::string::npos);
  std::vector<std::string> why;
  EXPECT_EQ(read_jwks({{"keys", {{{"kty", "RSA"}, {"n", n2048}, {"e", "AQAB"}}}}}, &why).size(), 1u);
  EXPECT_TRUE(why.empty());
}
