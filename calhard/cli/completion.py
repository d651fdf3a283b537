"""``calhard completion``: the shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion", no_args_is_help=True)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> int:
    """Print the completion script for SHELL.

    \b
    Examples:
      eval "$(calhard completion bash)"                                  in ~/.bashrc
      eval "$(calhard completion zsh)"                                   in ~/.zshrc
      calhard completion fish > ~/.config/fish/completions/calhard.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    root = ctx.find_root().command
    click.echo(kind(root, {}, "calhard", "_CALHARD_COMPLETE").source())
    return 0
