# %% [markdown]
# # From a training script to the loss of a model that is not trained yet
# Cells as editors and Jupytext read them; also a script. In the project's folder, with a server and a worker running
# (`scalelaw up --data my-data &`):
#
#     PYTHONPATH=build/release/python python3 examples/notebook.py

# %%
from pathlib import Path

from scalelaw_client import Client

client = Client()


# %% [markdown]
# ## Small models
# An isoFLOP ladder: every size with every budget. The same shape as a sweep file's, which `submit` takes as well.
# A dry run shows what would be trained.


# %%
def cosines(name: str, widths: list[int], flops: list[float], holdout: bool = False) -> dict[str, object]:
    return {
        "name": name,
        "study": "notebook",
        "stages": [{
            "name": name,
            "command": ["python3", Path("examples/own_script.py").absolute()],
            "grid": {"width": widths},
            "budget": {"flops": flops},
            "holdout": holdout,
        }],
    }


ladder = cosines("ladder", widths=[12, 20, 32], flops=[2e4, 4e4, 8e4, 1.6e5])
print(f"{len(client.dry_run(ladder))} runs")
sweep = client.submit(ladder)
sweep.wait(progress=True)

# %% [markdown]
# ## What came of them
# Records; and a table, where pandas is installed.

# %%
runs = sweep.runs()
best = min(runs, key=lambda run: run.latest["val_loss"])
print(f"best: {best.name}, loss {best.latest['val_loss']:.4f} after {best.flops:.3g} FLOPs")
try:
    frame = runs.to_dataframe()
    print(frame.pivot_table(index="params.width", columns="budget_flops", values="latest.val_loss").round(4))
except ImportError as missing:
    print(missing)

# %% [markdown]
# ## A law, and what it says of four times the largest budget

# %%
law = client.fit("notebook", "val_loss", form="power")
print(law.formula)
print("\n".join(f"note: {warning}" for warning in law.warnings))
prediction = client.predict(law, flops=6.4e5)
print(f"at 6.4e5 FLOPs: {prediction.value:.4f}, 95 % interval {prediction.low95:.4f} to {prediction.high95:.4f}")

# %% [markdown]
# ## Was it right?
# A held-out run never enters a fit.

# %%
client.submit(cosines("target", widths=[64], flops=[6.4e5], holdout=True)).wait(progress=True)
[held_out] = client.verify("notebook", "val_loss")
print(f"measured: {held_out.measured.value:.4f}, {'inside' if held_out.inside95 else 'outside'} the interval")

# %% [markdown]
# ## A picture, where matplotlib is installed

# %%
try:
    from matplotlib import pyplot
except ImportError:
    print("no picture: matplotlib is not installed")
else:
    compute = [2e4 * 2 ** (i / 4) for i in range(22)]
    curve = [client.predict(law, flops=c) for c in compute]
    figure, axes = pyplot.subplots()
    axes.fill_between(compute, [p.low95 for p in curve], [p.high95 for p in curve], alpha=0.2, label="95 % interval")
    axes.loglog(compute, [p.value for p in curve], label=law.formula)
    axes.loglog([r.flops for r in runs], [r.latest["val_loss"] for r in runs], ".", label="runs")
    axes.loglog([held_out.measured.flops], [held_out.measured.value], "*", markersize=12, label="held out")
    axes.set(xlabel="training FLOPs", ylabel="loss on held-out points")
    axes.legend()
    figure.savefig("notebook.png")
    print("picture: notebook.png")
