# Writes OUTPUT, a header with kMigrations in NAMESPACE: FOLDER/<dialect>/NNNN_name.sql, numbered
# 0001, 0002, ... in every dialect alike.
set(dialects postgresql sqlite)
set(arrays "")
foreach(dialect IN LISTS dialects)
  file(GLOB files RELATIVE "${FOLDER}/${dialect}" "${FOLDER}/${dialect}/*.sql")
  list(SORT files)
  if(NOT files)
    message(FATAL_ERROR "${FOLDER}/${dialect} has no migrations: each dialect (${dialects}) needs its own")
  endif()
  set(names_${dialect} "${files}")
  if(NOT names_${dialect} STREQUAL names_postgresql)
    message(FATAL_ERROR "${FOLDER}: '${files}' of ${dialect} are not '${names_postgresql}' of postgresql")
  endif()
  set(entries "")
  set(version 0)
  foreach(file IN LISTS files)
    math(EXPR version "${version} + 1")
    if(NOT file MATCHES "^0*${version}_([a-z0-9_]+)\\.sql$")
      message(FATAL_ERROR "${FOLDER}/${dialect}/${file}: the migration after ${version} - 1 is named NNNN_name.sql with the number ${version}")
    endif()
    set(name ${CMAKE_MATCH_1})
    file(READ "${FOLDER}/${dialect}/${file}" sql)
    string(APPEND entries "    {${version}, 0, BH_LIT(\"${name}\"), BH_LIT(R\"sql(${sql})sql\")},\n")
  endforeach()
  string(APPEND arrays "inline constexpr bh_sql_migration k_${dialect}[] = {\n${entries}};\n")
endforeach()
file(WRITE "${OUTPUT}" "// Made from the files of migrations/.
#pragma once
#include \"bulkhead/services/sql.hpp\"
namespace ${NAMESPACE} {
${arrays}inline constexpr bulkhead::SqlMigrations kMigrations{k_postgresql, k_sqlite};
}  // namespace ${NAMESPACE}
")
