"""Processes of one run: how they find one another, and how what stops one of them stops all."""

import contextlib
import glob
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import jax

from mmjax.core import UserError
from mmjax.train.signals import Interrupted

_STOPPED = "mmjax/stopped"
_PATIENCE = 0.5  # seconds between two looks
_LONG = 300_000  # milliseconds to wait for process 0


def join(coordinator: str = "", processes: int = 0, process: int = -1) -> None:
    """Find the other processes, before anything is asked of a device; nothing where this one is alone.

    coordinator: ``HOST:PORT`` of process 0, how many there are, and which of them this is; what is not said here is
    read from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or known by Slurm, Open MPI, Kubernetes
    (an indexed job numbers its pods) and Cloud TPU. Raises UserError where they do not find one another.
    """
    if jax.distributed.is_initialized():
        return
    told = {
        "coordinator_address": coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS") or None,
        "num_processes": processes or _number("JAX_NUM_PROCESSES"),
        "process_id": process if process >= 0 else _number("JAX_PROCESS_ID", "JOB_COMPLETION_INDEX"),
    }
    if told["num_processes"] == 1:
        return
    if not (told["coordinator_address"] or _known()):
        if processes or process >= 0:
            raise UserError("--processes and --process want --coordinator HOST:PORT, where process 0 listens")
        return
    try:
        jax.distributed.initialize(**told)
    except (ValueError, RuntimeError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"the processes did not find one another: {first}; see tools/launch") from error


def _known() -> bool:
    """Whether a scheduler that jax knows has started more processes than this one."""
    slurm = "SLURM_STEP_NODELIST" in os.environ and (_number("SLURM_NTASKS") or 1) > 1
    mpi = (_number("OMPI_COMM_WORLD_SIZE") or 1) > 1
    pods = "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ
    return slurm or mpi or (pods and importlib.util.find_spec("kubernetes") is not None) or _tpu()


def _tpu() -> bool:
    """Whether this is a host of a Cloud TPU, which may be one of several."""
    hosts, wanted = os.environ.get("TPU_WORKER_HOSTNAMES"), os.environ.get("JAX_PLATFORMS", "")
    if importlib.util.find_spec("libtpu") is None or (wanted and "tpu" not in wanted.split(",")):
        return False
    return "," in hosts if hosts else bool(glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*"))


def _number(*names: str) -> int | None:
    for name in names:
        text = os.environ.get(name)
        if text:
            try:
                return int(text)
            except ValueError:
                raise UserError(f"{name}={text!r} is not a number") from None
    return None


def first(name: str, value: str) -> str:
    """``value`` as process 0 has it, for what every process would choose by itself."""
    company = _company()
    if company is None:
        return value
    if company.process_id == 0:
        company.client.key_value_set(f"mmjax/{name}", value)
        return value
    return company.client.blocking_key_value_get(f"mmjax/{name}", _LONG)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What ends one process by an exception ends the others too, which would wait for it for ever.

    Another one says what happened in one line and leaves with status 2, in whatever it waits.
    """
    company = _company()
    if company is None or any(thread.name == _STOPPED for thread in threading.enumerate()):
        yield
        return
    done, heard = threading.Event(), threading.Event()
    watch = threading.Thread(target=_watch, args=(company.client, done, heard), name=_STOPPED, daemon=True)
    watch.start()
    try:
        yield
    except Interrupted:  # all of them agreed on it
        raise
    except Exception as error:  # whatever it is, the others hear of it, and it goes on
        if heard.is_set():  # what fails now fails because the others leave
            watch.join()
        said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # another one was quicker
            company.client.key_value_set(_STOPPED, f"process {company.process_id}: {' '.join(said.split())}")
        raise
    finally:
        done.set()
        watch.join()


def _watch(client: Any, done: threading.Event, heard: threading.Event) -> None:
    while not done.wait(_PATIENCE):
        try:
            said = client.key_value_try_get(_STOPPED)
        except jax.errors.JaxRuntimeError:  # nothing was said
            continue
        if done.is_set():
            return
        heard.set()
        print(f"mmjax: {said}", file=sys.stderr, flush=True)
        # The way out is a meeting as well: without this one the process that stopped would wait for it.
        with contextlib.suppress(Exception):
            jax.distributed.shutdown()
        os._exit(2)


def _company() -> Any:
    """What jax knows of the processes, with the store through which they tell one another; None for one alone.

    The one place that reaches into jax for it; asking so starts no device.
    """
    if not jax.distributed.is_initialized():
        return None
    from jax._src import distributed

    return distributed.global_state if distributed.global_state.num_processes > 1 else None
