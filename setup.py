"Package metadata: every field comes from settings.ini, so that one file states version and requirements."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_namespace_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]
readme = here / "README.md"

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else settings["description"],
    long_description_content_type="text/markdown",
    keywords=settings["keywords"].split(),
    author=settings["author"],
    license=settings["license"],
    classifiers=[
        "Intended Audience :: Science/Research",
        "Topic :: Scientific/Engineering :: Physics",
        "Programming Language :: Python :: 3",
    ],
    packages=find_namespace_packages(include=[settings["lib_path"], settings["lib_path"] + ".*"]),
    include_package_data=True,
    package_data={settings["lib_path"]: ["data/*", "data/models/*"]},
    install_requires=settings["requirements"].split(),
    extras_require={"dev": settings["dev_requirements"].split()},
    python_requires=">=" + settings["min_python"],
    entry_points={
        "console_scripts": ["aurora_nb = aurora_nb.cli:main"],
        "nbdev": ["aurora_nb=aurora_nb._modidx:d"],
        "aurora_nb.readers": [
            "themis_cdf = aurora_nb.readers.themis:ThemisCdf",
            "ucalgary_pgm = aurora_nb.readers.ucalgary:CalgaryPgm",
            "ucalgary_png = aurora_nb.readers.ucalgary:CalgaryPng",
            "ucalgary_hdf5 = aurora_nb.readers.ucalgary:CalgaryHdf5",
            "dasc_fits = aurora_nb.readers.dasc:DascFits",
            "pictures = aurora_nb.readers.pictures:Pictures",
            "movies = aurora_nb.readers.movies:Movies",
        ],
        "aurora_nb.networks": [
            "spatial_margin = aurora_nb.families.spatial_margin:build_spatial_margin",
        ],
    },
)
