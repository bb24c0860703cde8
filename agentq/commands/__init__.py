"""One module per subcommand of ``agentq``.

A command module has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(arguments) -> int``, and
imports nothing heavy at its top. A new file here is a new command; other packages add theirs through the
entry-point group ``agentq.commands``.
"""
