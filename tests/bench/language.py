"""How fast a tiny language model learns by reinforcement, against TRL's GRPO trainer on a GPT-2 of the same size.

One job is one rollout and what is learned of it: 64 prompts of Countdown of 5 words, 8 answers of 5 words to each, the
reward, and 4 updates on 128 answers. Width 64, 2 layers, 4 heads, 75 words; both sides start from random weights, in
float32 on one thread, and ask the same function for the reward. TRL generates with its cache of keys and values; its
logging, saving, evaluation, progress bar, dropout, checkpointing and reference model are off.

What remains different: ours takes the spread of rewards over the batch ("ppo"), because our GRPO would leave out the
groups that teach nothing, and with them most of the work; it pays for a small evaluation (6 prompts) every ROLLOUTS.
GPT-2's norms have a scale and a shift and its head no bias: 0.5 % more parameters. Its words are text that a tokenizer
reads, as TRL wants it. A word in 75 ends an answer early: so it may be a word or two shorter than ours.
CPU seconds; the sides alternate within TRL's own loop, first rollouts of both are left out.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from statistics import median

import numpy as np
import torch

from rlkit.envs.countdown import Countdown
from rlkit.papers.entropy_language import Config, entropy_language
from rlkit.papers.entropy_model import LM

PAIRS, ROLLOUTS, GOAL = 5, 4, 5.0
G, K, MINIBATCHES, RUNS = 64, 8, 4, (1, 4)
TASK = Countdown()


def ours(runs: int):
    """A function that makes ROLLOUTS rollouts of all runs and learns of them."""
    cfg = Config(method="ppo", K=K, prompts=G, minibatches=MINIBATCHES, runs=runs, steps=1000, evaluation=6)
    gen = torch.Generator().manual_seed(0)
    learner = entropy_language(cfg, np.random.default_rng(0), every=ROLLOUTS, weights=LM(1, TASK, gen).weights())
    next(learner)                                                         # the evaluation before the first rollout
    return lambda: next(learner)


def trainer(callback, rollouts: int, folder: str):
    """TRL's trainer of a GPT-2 from scratch; the callback hears of every update."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TRL_EXPERIMENTAL_SILENCE="1")
    warnings.simplefilter("ignore")
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer
    V = len(TASK.words)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(V)} | {"end": V}, unk_token="end"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="end", pad_token="end", padding_side="left")
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=V + 1, n_positions=16, n_embd=64, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        bos_token_id=V, eos_token_id=V, tie_word_embeddings=False))
    prompts = TASK.prompts(np.random.default_rng(0), (G * rollouts,))

    def reward(completion_ids, numbers, **_) -> list[float]:
        answers = np.zeros((len(completion_ids), TASK.answer_length), np.int64)
        for row, ids in zip(answers, completion_ids):
            row[: len(ids)] = ids
        return TASK.verify(np.array(numbers), answers).astype(float).tolist()

    args = GRPOConfig(
        output_dir=folder, use_cpu=True, bf16=False, fp16=False, gradient_checkpointing=False, learning_rate=6e-4,
        lr_scheduler_type="constant", per_device_train_batch_size=G * K // MINIBATCHES, num_generations=K,
        steps_per_generation=MINIBATCHES, gradient_accumulation_steps=1, num_iterations=1, beta=0.0,
        max_completion_length=TASK.answer_length, max_steps=MINIBATCHES * rollouts, logging_strategy="no",
        save_strategy="no", eval_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False)
    data = Dataset.from_dict(dict(prompt=[" ".join(f"w{i}" for i in p) for p in prompts], numbers=prompts.tolist()))
    return GRPOTrainer(model=model, reward_funcs=reward, args=args, train_dataset=data, processing_class=tokenizer,
                       callbacks=[callback])


def bench() -> list[dict]:
    """Rows (part, job, ours, peer, ratio, low, high, goal); seconds are of one rollout and its updates, of one run."""
    torch.set_num_threads(1)
    from transformers import TrainerCallback
    mine, clock = {runs: ours(runs) for runs in RUNS}, time.process_time
    seconds = {runs: [] for runs in RUNS}                                 # (ours, theirs)

    class Turn(TrainerCallback):
        """After ROLLOUTS of theirs, as many of ours."""
        def on_step_end(self, args, state, control, **_):
            if state.global_step % (MINIBATCHES * ROLLOUTS):
                return
            theirs = (clock() - self.since) / ROLLOUTS
            for runs, step in mine.items():
                start = clock()
                step()
                seconds[runs].append(((clock() - start) / ROLLOUTS / runs, theirs))
            self.since = clock()

        def on_train_begin(self, *_, **__):
            self.since = clock()

    with tempfile.TemporaryDirectory() as folder:
        trainer(Turn(), ROLLOUTS * (PAIRS + 1), folder).train()
    rows = []
    for runs, pairs in seconds.items():
        pairs = pairs[1:]                                                 # the first is to warm up
        ratios = [peer / own for own, peer in pairs]
        rows.append(dict(part="language", job=f"GRPO of a 0.1M transformer, rollout and 4 updates, {runs} "
                         f"run{'s' * (runs > 1)}", ours=median(own for own, _ in pairs),
                         peer=median(peer for _, peer in pairs), ratio=median(ratios), low=min(ratios),
                         high=max(ratios), goal=GOAL))
    return rows


if __name__ == "__main__":
    for row in bench():
        print("{job}: ours {ours:.2e} s, TRL {peer:.2e} s: {ratio:.1f} times ({low:.1f} to {high:.1f}), "
              "goal {goal:g}".format(**row))
