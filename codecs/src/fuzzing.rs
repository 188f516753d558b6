//! Entry points that the fuzz targets and the replay of their corpora share; no part of the public interface.
