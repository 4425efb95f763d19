"""Pages of other sites: which of them may bring telemetry."""

from edge_targets.runtime.events import QUIET, Job
from toolkit.results.tokens import TokenList, TokenRow
from toolkit.verbs.words import Folder


def token_list(*, workspace: Folder = None, job: Job = QUIET) -> TokenList:
    """Show which bundles on other sites may send telemetry to this workspace.

    `sanderling bundle --collector` makes a token; everyone who opens the page can read it.
    """
    from toolkit.telemetry import tokens
    from toolkit.workspace import Workspace

    known = tokens.tokens(Workspace.find(workspace))
    return TokenList(tuple(TokenRow(token.package, token.model, token.word) for token in known))


def token_remove(package: str, /, *, workspace: Folder = None, job: Job = QUIET) -> TokenList:
    """Take the token of a package's bundles back; a running collector refuses it at once.

    Pages that are out there stop sending. A bundle that is made anew gets a new token.

    Args:
        package: the package whose bundles bring it.
    """
    from toolkit.telemetry import tokens
    from toolkit.workspace import Workspace

    tokens.remove(Workspace.find(workspace), package)
    return token_list(workspace=workspace)
