/// A member of a gang that Slurm has placed: `scalelaw-worker gang-member ATTEMPT_DIR`, started by srun on each node.
#pragma once

#include <filesystem>

namespace scalelaw::worker {

/// Runs the trainer of launch.json with torchrun's variables for this node's rank, and passes SIGUSR1 on to it as
/// SIGTERM. Only rank 0's events and output are the attempt's; those of the others lie beside them.
///
/// Returns its exit status (128 + N for death by signal N), but 0 for 75, which is written down in the attempt's
/// directory: srun ends all members as soon as one fails, and while the first has saved its checkpoint another may
/// still be at it.
int run_gang_member(const std::filesystem::path& attempt_dir);

}  // namespace scalelaw::worker
