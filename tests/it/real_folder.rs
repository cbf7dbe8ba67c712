//! real_folder
