import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** A name node at a port and one data node, their files in a folder, until the process is ended. */
public class Hdfs {
    public static void main(String[] folderAndPort) throws Exception {
        var settings = new Configuration();
        settings.setInt("dfs.replication", 1);
        new MiniDFSCluster.Builder(settings, new File(folderAndPort[0]))
            .nameNodePort(Integer.parseInt(folderAndPort[1]))
            .build()
            .waitActive();
        System.out.println("ready");
        Thread.currentThread().join();
    }
}
