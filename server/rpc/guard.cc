#include "server/rpc/guard.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <nlohmann/json.hpp>

#include "server/rpc/status.h"

namespace scalelaw::server {
namespace {

constexpr const char* kOwner = "scalelaw.owner";
constexpr const char* kRole = "scalelaw.role";
constexpr const char* kTokenId = "scalelaw.token";
constexpr size_t kLongestText = 100;

// ---- TLS.

absl::StatusOr<std::string> read_pem(const char* option, const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return absl::InvalidArgumentError(fmt::format("{}: {}: {}", option, file, std::strerror(errno)));
  return text.str();
}

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Certificate parse_certificate(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  return {PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), &X509_free};
}

Key parse_key(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  return {PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free};
}

// ---- Tokens.

class TokenCheck final : public grpc::AuthMetadataProcessor {
 public:
  TokenCheck(Access& access, AuditLog* audit) : access_(access), audit_(audit) {}

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata* consumed,
                       OutputMetadata*) override {
    const std::string method = find(metadata, ":path");
    const std::string authorization = find(metadata, "authorization");
    const absl::StatusOr<Caller> caller = access_.check(method, authorization);
    if (!caller.ok()) {
      if (audit_ != nullptr) audit_->write({.method = method, .result = caller.status()});
      return to_grpc(caller.status());
    }
    if (!authorization.empty()) consumed->emplace("authorization", authorization);
    context->AddProperty(kOwner, caller->owner);
    context->AddProperty(kRole, std::string(name(caller->role)));
    context->AddProperty(kTokenId, caller->token_id);
    return grpc::Status::OK;
  }

 private:
  static std::string find(const InputMetadata& metadata, const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
  }

  Access& access_;
  AuditLog* audit_;
};

std::string property(const grpc::AuthContext* context, const char* key) {
  if (context == nullptr) return "";
  const auto values = context->FindPropertyValues(key);
  return values.empty() ? "" : std::string(values[0].data(), values[0].size());
}

// ---- The audit log.

// Names and ids at the top of a request, and the name of what a submission holds.
nlohmann::json summary(const google::protobuf::Message& message) {
  using Field = google::protobuf::FieldDescriptor;
  nlohmann::json json = nlohmann::json::object();
  std::vector<const Field*> fields;
  const auto& reflection = *message.GetReflection();
  reflection.ListFields(message, &fields);
  for (const Field* field : fields) {
    if (field->is_repeated()) continue;
    if (field->cpp_type() == Field::CPPTYPE_STRING && field->type() == Field::TYPE_STRING) {
      json[field->name()] = reflection.GetString(message, field).substr(0, kLongestText);
    } else if (field->cpp_type() == Field::CPPTYPE_INT32) {
      json[field->name()] = reflection.GetInt32(message, field);
    } else if (field->cpp_type() == Field::CPPTYPE_BOOL) {
      json[field->name()] = reflection.GetBool(message, field);
    } else if (field->cpp_type() == Field::CPPTYPE_MESSAGE && (field->name() == "spec" || field->name() == "hello")) {
      json[field->name()] = summary(reflection.GetMessage(message, field));
    }
  }
  return json;
}

class AuditInterceptor final : public grpc::experimental::Interceptor {
 public:
  AuditInterceptor(AuditLog& audit, grpc::experimental::ServerRpcInfo& call) : audit_(audit), call_(call) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using Point = grpc::experimental::InterceptionHookPoints;
    const bool is_stream = call_.type() == grpc::experimental::ServerRpcInfo::Type::BIDI_STREAMING;
    if (methods->QueryInterceptionHookPoint(Point::POST_RECV_MESSAGE) && request_.empty()) {
      if (const void* message = methods->GetRecvMessage(); message != nullptr) {
        request_ = summary(*static_cast<const google::protobuf::Message*>(message)).dump();
        if (is_stream) write(absl::OkStatus());
      }
    }
    if (methods->QueryInterceptionHookPoint(Point::PRE_SEND_STATUS) && !is_stream) {
      const grpc::Status status = methods->GetSendStatus();
      write({static_cast<absl::StatusCode>(status.error_code()), status.error_message()});
    }
    methods->Proceed();
  }

 private:
  void write(absl::Status result) {
    const auto& context = *call_.server_context();
    audit_.write({.method = call_.method(),
                  .caller = caller_of(context),
                  .peer = context.peer(),
                  .request = request_,
                  .result = std::move(result)});
  }

  AuditLog& audit_;
  grpc::experimental::ServerRpcInfo& call_;
  std::string request_;
};

class AuditInterceptors final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit AuditInterceptors(AuditLog& audit) : audit_(audit) {}
  // gRPC takes null for: this call is not looked at.
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* call) override {
    return is_audited(call->method()) ? new AuditInterceptor(audit_, *call) : nullptr;
  }

 private:
  AuditLog& audit_;
};

}  // namespace

absl::StatusOr<TlsIdentity> read_tls_identity(const std::string& certificate_file, const std::string& key_file,
                                              const std::string& client_authorities_file) {
  TlsIdentity identity;
  const auto certificate = read_pem("--tls-cert", certificate_file);
  if (!certificate.ok()) return certificate.status();
  const auto key = read_pem("--tls-key", key_file);
  if (!key.ok()) return key.status();
  const Certificate parsed = parse_certificate(*certificate);
  if (parsed == nullptr) {
    return absl::InvalidArgumentError(fmt::format("--tls-cert: {} holds no certificate in PEM", certificate_file));
  }
  const Key parsed_key = parse_key(*key);
  if (parsed_key == nullptr) {
    return absl::InvalidArgumentError(fmt::format("--tls-key: {} holds no unencrypted private key in PEM", key_file));
  }
  if (X509_check_private_key(parsed.get(), parsed_key.get()) != 1) {
    return absl::InvalidArgumentError(
        fmt::format("--tls-key: {} is not the key of the certificate in {}", key_file, certificate_file));
  }
  identity.certificate = *certificate;
  identity.key = *key;
  if (client_authorities_file.empty()) return identity;
  const auto authorities = read_pem("--tls-client-ca", client_authorities_file);
  if (!authorities.ok()) return authorities.status();
  if (parse_certificate(*authorities) == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("--tls-client-ca: {} holds no certificate in PEM", client_authorities_file));
  }
  identity.client_authorities = *authorities;
  return identity;
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(const Guard& guard) {
  const bool tokens = guard.access != nullptr && guard.access->asks_for_tokens();
  std::shared_ptr<grpc::ServerCredentials> credentials;
  if (guard.tls) {
    grpc::SslServerCredentialsOptions options(guard.tls->client_authorities.empty()
                                                  ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                  : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = guard.tls->client_authorities;
    options.pem_key_cert_pairs.push_back({guard.tls->key, guard.tls->certificate});
    credentials = grpc::SslServerCredentials(options);
  } else if (tokens) {
    credentials = grpc::experimental::LocalServerCredentials(LOCAL_TCP);
  } else {
    return grpc::InsecureServerCredentials();
  }
  if (tokens) credentials->SetAuthMetadataProcessor(std::make_shared<TokenCheck>(*guard.access, guard.audit));
  return credentials;
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> audit_interceptor(AuditLog& audit) {
  return std::make_unique<AuditInterceptors>(audit);
}

Caller caller_of(const grpc::ServerContextBase& context) {
  const auto properties = context.auth_context();
  const std::string token = property(properties.get(), kTokenId);
  if (token.empty()) return Caller{};
  return {property(properties.get(), kOwner), parse_role(property(properties.get(), kRole)).value_or(Role::kViewer),
          token};
}

}  // namespace scalelaw::server
