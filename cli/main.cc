// scalelaw: the command line. Every command is a client of the gRPC API; `up` starts the servers themselves.
#include "cli/commands/commands.h"

int main(int argc, char** argv) {
  return scalelaw::cli::run(argc, argv);
}
