# bulkhead_add_plugin(NAME SOURCES a.cpp [b.cpp ...] [SCHEMA schema.json] [EMBED file ...] [LIBRARIES lib ...])
#
# Builds NAME.so as the plugin contract wants it: one exported symbol, nothing left
# undefined, no symbol that would pin the library in memory after a swap.
# SCHEMA is also struct Config in "NAME_config.hpp", namespace NAME_config: the configuration's
# keys, types and defaults, which a plugin's constructor takes instead of JSON.
# A folder migrations/ is found by itself: its <dialect>/NNNN_name.sql are NAME_migrations::kMigrations in
# "NAME_migrations.hpp".
# SCHEMA and EMBED files are available to the sources as std::string_view constants in
# "NAME_embedded.hpp", namespace NAME_embedded: "pages/home.html" is pages_home_html.
# A target NAME_objects holds the same code for a test to link, debug and cover.

#
# bulkhead_plugin_headers(NAME [lib ...]) makes a precompiled header of the SDK, which every plugin added after it uses.

set(BULKHEAD_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})

# As plugins are compiled: nothing leaves them but what is exported.
function(bulkhead_plugin_options target)
  target_compile_options(${target} PRIVATE -fPIC -fvisibility=hidden
    $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-fno-gnu-unique>)
endfunction()

function(bulkhead_plugin_headers name)
  file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp CONTENT "")
  add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE Bulkhead::sdk ${ARGN})
  bulkhead_plugin_options(${name})
  target_precompile_headers(${name} PRIVATE <bulkhead/plugin.hpp> <map> <mutex> <optional> <string> <thread> <unordered_map> <vector>)
  set_property(GLOBAL PROPERTY BULKHEAD_PLUGIN_HEADERS ${name})
endfunction()

function(bulkhead_add_plugin name)
  cmake_parse_arguments(arg "" "SCHEMA" "SOURCES;EMBED;LIBRARIES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "bulkhead_add_plugin(${name}): expected SOURCES, SCHEMA, EMBED, LIBRARIES; got '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  string(MAKE_C_IDENTIFIER "${name}" identifier)

  set(generated ${CMAKE_CURRENT_BINARY_DIR}/${name}_generated)
  set(header ${generated}/${identifier}_embedded.hpp)
  set(files ${arg_SCHEMA} ${arg_EMBED})
  if(files)
    add_custom_command(OUTPUT ${header}
      COMMAND ${CMAKE_COMMAND} -DOUTPUT=${header} -DNAMESPACE=${identifier}_embedded "-DFILES=${files}"
              -DROOT=${CMAKE_CURRENT_SOURCE_DIR} -P ${BULKHEAD_CMAKE_DIR}/bulkhead_embed.cmake
      DEPENDS ${files} ${BULKHEAD_CMAKE_DIR}/bulkhead_embed.cmake
      VERBATIM)
    set(arg_SOURCES ${arg_SOURCES} ${header})
  endif()

  if(arg_SCHEMA)
    set(config ${generated}/${identifier}_config.hpp)
    add_custom_command(OUTPUT ${config}
      COMMAND ${CMAKE_COMMAND} -DSCHEMA=${CMAKE_CURRENT_SOURCE_DIR}/${arg_SCHEMA} -DOUTPUT=${config}
              -DNAMESPACE=${identifier}_config -DNAME=${arg_SCHEMA} -P ${BULKHEAD_CMAKE_DIR}/bulkhead_config.cmake
      DEPENDS ${arg_SCHEMA} ${BULKHEAD_CMAKE_DIR}/bulkhead_config.cmake
      VERBATIM)
    set(arg_SOURCES ${arg_SOURCES} ${config})
  endif()

  if(IS_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/migrations/postgresql OR IS_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/migrations/sqlite)
    set(migrations ${generated}/${identifier}_migrations.hpp)
    file(GLOB_RECURSE files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/migrations/*.sql)
    add_custom_command(OUTPUT ${migrations}
      COMMAND ${CMAKE_COMMAND} -DFOLDER=${CMAKE_CURRENT_SOURCE_DIR}/migrations -DOUTPUT=${migrations}
              -DNAMESPACE=${identifier}_migrations -P ${BULKHEAD_CMAKE_DIR}/bulkhead_migrations.cmake
      DEPENDS ${files} ${BULKHEAD_CMAKE_DIR}/bulkhead_migrations.cmake
      VERBATIM)
    set(arg_SOURCES ${arg_SOURCES} ${migrations})
  endif()

  add_library(${name}_objects OBJECT ${arg_SOURCES})
  target_include_directories(${name}_objects PUBLIC ${generated} ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name}_objects PUBLIC Bulkhead::sdk ${arg_LIBRARIES})
  bulkhead_plugin_options(${name}_objects)
  get_property(headers GLOBAL PROPERTY BULKHEAD_PLUGIN_HEADERS)
  if(headers AND NOT "${arg_SOURCES}" MATCHES "\\.c(;|$)")
    target_precompile_headers(${name}_objects REUSE_FROM ${headers})
  endif()

  add_library(${name} MODULE $<TARGET_OBJECTS:${name}_objects>)
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES})
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so" LINKER_LANGUAGE CXX
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/bulkhead)
  target_link_options(${name} PRIVATE -Wl,-z,relro,-z,now -Wl,-Bsymbolic-functions
    -Wl,--version-script=${BULKHEAD_CMAKE_DIR}/plugin.map)
  # A sanitizer's runtime lives in the executable: only then may symbols stay undefined.
  if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  set_property(TARGET ${name} PROPERTY LINK_DEPENDS ${BULKHEAD_CMAKE_DIR}/plugin.map)
endfunction()
