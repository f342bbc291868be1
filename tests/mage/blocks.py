"""Writes a project as `mage init` makes it, and a block of each of Mage's templates into it.

blocks.py FOLDER: prints how many blocks were written.
"""

import os
import sys

from mage_ai.data_preparation.models.constants import BlockLanguage
from mage_ai.data_preparation.repo_manager import init_repo
from mage_ai.data_preparation.templates.constants import TEMPLATES, TEMPLATES_ONLY_FOR_V2
from mage_ai.data_preparation.templates.template import fetch_template_source

ENDINGS = {BlockLanguage.PYTHON: "py", BlockLanguage.YAML: "yaml", BlockLanguage.SQL: "sql", BlockLanguage.R: "r"}


def main(folder):
    init_repo(folder, project_type="standalone")
    written = 0
    for number, template in enumerate(TEMPLATES + TEMPLATES_ONLY_FOR_V2):
        kind, language = template["block_type"], template.get("language", BlockLanguage.PYTHON)
        config = {"template_path": template["path"], "template_variables": template.get("template_variables")}
        try:
            source = fetch_template_source(kind, config, language=language)
        except Exception as error:
            print(f"{template['path']}: {error}", file=sys.stderr)
            continue
        place = os.path.join(folder, "custom" if kind == "custom" else f"{kind}s")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, f"template_{number}.{ENDINGS[language]}"), "w") as file:
            file.write(source)
        written += 1
    print(written)


main(sys.argv[1])
