# Writes OUTPUT, a .cc with the numbered migrations of DIRECTORY as string literals: `embedded_migrations()`.
# Run at build time: cmake -D DIRECTORY=… -D OUTPUT=… -P embed_migrations.cmake
file(GLOB files LIST_DIRECTORIES false "${DIRECTORY}/[0-9][0-9][0-9][0-9]_*.sql")
list(SORT files)
set(entries "")
set(expected 1)
foreach(path IN LISTS files)
  get_filename_component(name "${path}" NAME)
  string(SUBSTRING "${name}" 0 4 number)
  string(REGEX REPLACE "^0+" "" number "${number}")
  if(NOT number EQUAL expected)
    message(FATAL_ERROR "migrations must be numbered without gaps: expected ${expected}, found ${name}")
  endif()
  file(READ "${path}" sql)
  string(APPEND entries "      {${number}, \"${name}\", R\"migration(${sql})migration\"},\n")
  math(EXPR expected "${expected} + 1")
endforeach()
file(WRITE "${OUTPUT}" "// Generated from migrations/*.sql.
#include \"server/store/migrations.h\"

namespace scalelaw::server {

const std::vector<Migration>& embedded_migrations() {
  static const std::vector<Migration> migrations = {
${entries}  };
  return migrations;
}

}  // namespace scalelaw::server
")
