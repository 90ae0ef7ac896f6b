// One SQLite connection with its prepared statements.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>
#include <absl/status/status.h>

namespace scalelaw::server {

/// Rows of a statement that is being stepped; resets it at the end of its life.
class Query {
 public:
  explicit Query(SQLite::Statement& statement) : statement_(&statement) {}
  Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Query& operator=(Query&&) = delete;
  ~Query() {
    if (statement_ != nullptr) statement_->tryReset();
  }

  bool next() { return statement_->executeStep(); }
  bool null(int column) const { return statement_->getColumn(column).isNull(); }
  int32_t integer(int column) const { return statement_->getColumn(column).getInt(); }
  int64_t long_integer(int column) const { return statement_->getColumn(column).getInt64(); }
  double real(int column) const { return statement_->getColumn(column).getDouble(); }
  std::string text(int column) const { return statement_->getColumn(column).getString(); }

 private:
  SQLite::Statement* statement_;
};

/// Not thread-safe. Everything throws SQLite::Exception; `to_status` translates it where the store's API begins.
class Connection {
 public:
  enum class Access { kReadWrite, kReadOnly };
  Connection(const std::filesystem::path& file, Access access);

  /// `sql` must be a literal: prepared once per connection. Arguments are bound to ?1, ?2, …
  template <class... Arguments>
  Query query(std::string_view sql, const Arguments&... arguments) {
    SQLite::Statement& statement = prepared(sql);
    int index = 0;
    (bind(statement, ++index, arguments), ...);
    return Query(statement);
  }
  /// Rows changed.
  template <class... Arguments>
  int run(std::string_view sql, const Arguments&... arguments) {
    SQLite::Statement& statement = prepared(sql);
    int index = 0;
    (bind(statement, ++index, arguments), ...);
    const Query reset_at_the_end(statement);
    return statement.exec();
  }
  /// Statements without arguments, not kept.
  void script(const std::string& sql) { database_.exec(sql); }
  bool in_transaction() const;
  int64_t last_insert_id() const { return database_.getLastInsertRowid(); }

 private:
  SQLite::Statement& prepared(std::string_view sql);
  static void bind(SQLite::Statement& statement, int index, int32_t value) { statement.bind(index, value); }
  static void bind(SQLite::Statement& statement, int index, int64_t value) { statement.bind(index, value); }
  static void bind(SQLite::Statement& statement, int index, double value) { statement.bind(index, value); }
  static void bind(SQLite::Statement& statement, int index, const std::string& value) { statement.bind(index, value); }
  static void bind(SQLite::Statement& statement, int index, std::string_view value) {
    statement.bind(index, std::string(value));
  }
  // NULL when unset.
  static void bind(SQLite::Statement& statement, int index, const std::optional<int32_t>& value);
  static void bind(SQLite::Statement& statement, int index, const std::optional<int64_t>& value);
  static void bind(SQLite::Statement& statement, int index, const std::optional<double>& value);
  static void bind(SQLite::Statement& statement, int index, const std::optional<std::string>& value);

  SQLite::Database database_;
  // Keyed by the literal's text: the same text may live at several addresses.
  std::unordered_map<std::string_view, std::unique_ptr<SQLite::Statement>> statements_;
};

/// The canonical code and a message for people; `file` is named in it.
absl::Status to_status(const SQLite::Exception& error, const std::filesystem::path& file);
/// Errors that pass by themselves or when somebody makes room: disk full, I/O, another program's lock.
bool may_pass(const SQLite::Exception& error);

}  // namespace scalelaw::server
