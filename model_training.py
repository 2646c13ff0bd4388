"""Train the artifact detector, choose its threshold on held-out people, evaluate it once on the test people.

    python model_training.py                              # the whole run; without dataset/ on a demo set it builds
    python model_training.py --data dataset --arch vgg19  # the final VGG-19, whatever the machine
    python model_training.py --arch resnet18 --epochs 5 --lr 3e-4 --seed 1 --out runs/resnet18-short
    python model_training.py --resume                     # continue the newest run after Ctrl-C or a crash
    torchrun --standalone --nproc_per_node=2 model_training.py   # two GPUs, or two processes on CPUs

Over several machines, the same command on each; they share the data folder and runs/, and HOST is the first of them:

    torchrun --nnodes=2 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_endpoint=HOST:29500 model_training.py

--batch-size is that of each process. On GPUs, batch norms see the batch of all processes; on CPUs each sees its own.
The run folder, runs/ARCH unless --out names another, gets the weights, metrics.json, the curves, and the probability
of every test picture in predictions.csv.
"""

from artifact_utils.console import is_first_process, read_arguments, run_cli


def main() -> None:
    from artifact_utils.config import TrainConfig

    config = read_arguments(TrainConfig, __doc__)
    from artifact_utils import distributed
    from artifact_utils.demo import ensure_dataset
    from artifact_utils.evaluation.run_results import summarise_run
    from artifact_utils.training import train

    distributed.join()
    if not config.resume:
        distributed.on_rank_0(lambda: ensure_dataset(config.data))
    run = train(config)
    if is_first_process():
        print(summarise_run(run))


if __name__ == "__main__":
    run_cli(
        main,
        interrupted="stopped; the same command goes on with what is already done",
        out_of_memory="choose a smaller --batch-size or --image-size",
    )
