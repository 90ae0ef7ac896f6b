#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands/commands.h"

namespace scalelaw::cli {
namespace {

std::vector<const CLI::App*> commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// `--metric` of every option, the short ones where there is no long one.
std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_lnames().empty()) {
      names.push_back("--" + option->get_lnames().front());
    } else if (!option->get_snames().empty()) {
      names.push_back("-" + option->get_snames().front());
    }
  }
  return names;
}

std::vector<std::string> words_of(const CLI::App& app, const CLI::App& command) {
  std::vector<std::string> words = option_names(command);
  for (const std::string& shared : option_names(app))
    if (std::find(words.begin(), words.end(), shared) == words.end() && shared != "--version") words.push_back(shared);
  return words;
}

std::string bash(const CLI::App& app) {
  std::string cases;
  std::vector<std::string> names;
  for (const CLI::App* command : commands(app)) {
    names.push_back(command->get_name());
    cases += fmt::format("      {}) words=\"{}\" ;;\n", command->get_name(), fmt::join(words_of(app, *command), " "));
  }
  return fmt::format(R"(# bash completion for scalelaw: source <(scalelaw completion bash)
_scalelaw() {{
  local words="" word command="" current="${{COMP_WORDS[COMP_CWORD]}}"
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in -*) ;; *) command="$word"; break ;; esac
  done
  if [ -z "$command" ]; then
    words="{} {}"
  else
    case "$command" in
{}    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _scalelaw scalelaw
)",
                     fmt::join(names, " "), fmt::join(option_names(app), " "), cases);
}

std::string without_quotes(std::string text) {
  std::replace(text.begin(), text.end(), '\'', '`');
  return text;
}

std::string zsh(const CLI::App& app) {
  std::string names, cases;
  for (const CLI::App* command : commands(app)) {
    names += fmt::format("    '{}:{}'\n", command->get_name(), without_quotes(command->get_description()));
    cases += fmt::format("      {}) compadd -- {} ;;\n", command->get_name(), fmt::join(words_of(app, *command), " "));
  }
  return fmt::format(R"(#compdef scalelaw
# zsh completion for scalelaw: source <(scalelaw completion zsh)
_scalelaw() {{
  local -a commands=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command commands
  elif [[ $PREFIX == -* ]]; then
    case $words[2] in
{}    esac
  else
    _files
  fi
}}
compdef _scalelaw scalelaw
)",
                     names, cases);
}

std::string fish(const CLI::App& app) {
  std::string text = "# fish completion for scalelaw: scalelaw completion fish | source\n";
  for (const CLI::App* command : commands(app)) {
    text += fmt::format("complete -c scalelaw -n __fish_use_subcommand -a {} -d '{}'\n", command->get_name(),
                        without_quotes(command->get_description()));
    for (const std::string& word : words_of(app, *command))
      if (word.starts_with("--"))
        text += fmt::format("complete -c scalelaw -n '__fish_seen_subcommand_from {}' -l {}\n", command->get_name(),
                            word.substr(2));
  }
  return text;
}

}  // namespace

void add_completion_command(CLI::App& app, Session& session) {
  auto shell = std::make_shared<std::string>();
  CLI::App& command =
      add_command(app, "completion", "Print the completion script of a shell", "source <(scalelaw completion bash)");
  command.add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command.callback([&app, &session, shell] {
    session.exit_code = kOk;
    print(*shell == "bash" ? bash(app) : *shell == "zsh" ? zsh(app) : fish(app));
  });
}

}  // namespace scalelaw::cli
