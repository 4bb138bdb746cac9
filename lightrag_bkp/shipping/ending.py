"""The end of the interpreter, as what still runs then meets it."""


def is_ending(error: BaseException) -> bool:
    """Python takes no more work for threads, and makes none, once its main thread is over, a moment before `atexit`
    comes to what is registered there. What meets that ends, and is no error.
    """
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "cannot schedule new futures" in said or "at interpreter shutdown" in said
    )
